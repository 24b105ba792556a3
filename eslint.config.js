import eslint from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  { ignores: ['node_modules/', 'dist/', 'build/', 'test/**/fixtures/'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      eqeqeq: 'error',
      'no-restricted-properties': [
        'error',
        { object: 'child_process', property: 'exec', message: 'No shell: spawn, or execa.' },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/strict-boolean-expressions': [
        'error',
        { allowNullableBoolean: true, allowNullableObject: true, allowNullableString: false },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true, allowNullish: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidOperator: true },
      ],
      '@typescript-eslint/no-dynamic-delete': 'off',
      // The compiler rejects enums (erasableSyntaxOnly in tsconfig.json), so this slow rule has nothing to check.
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      // An interface of functions is written with method signatures here; none of them uses `this`.
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    // What Node runs as it is, without a build.
    files: ['**/*.cjs'],
    languageOptions: {
      sourceType: 'commonjs',
      globals: { Buffer: 'readonly', process: 'readonly' },
    },
  },
  {
    // The script of the fleet report, which runs in a browser.
    files: ['ansible/**/*.js'],
    languageOptions: {
      sourceType: 'script',
      globals: {
        addEventListener: 'readonly',
        document: 'readonly',
        location: 'readonly',
        Option: 'readonly',
      },
    },
  },
  {
    files: ['agent/**/*.ts'],
    rules: { 'no-console': 'error' },
  },
);
