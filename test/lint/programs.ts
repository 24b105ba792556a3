import fs from 'node:fs';
import { execa } from 'execa';

/**
 * Runs a linter.
 * @returns its output; empty if it exits with 0
 */
export async function complaints(program: string, ...args: string[]): Promise<string> {
  const { all, failed, shortMessage } = await execa(program, args, {
    all: true,
    reject: false,
    stdin: 'ignore',
    preferLocal: true,
  });
  if (!failed) return '';
  return all === '' ? (shortMessage ?? `${program} failed`) : all;
}

/**
 * Runs TypeScript 7, which needs a seventh of the processor time of TypeScript 6. The package `typescript` is version 6,
 * because typescript-eslint requires its API.
 */
export const tsc = () => complaints('node_modules/typescript-7/bin/tsc', '--noEmit', '--pretty', 'false');
export const eslint = () => complaints('eslint', '--no-color', '.');
export const prettier = () => complaints('prettier', '--check', '--log-level', 'warn', '.');
export const yamllint = () =>
  complaints('yamllint', '--strict', '--config-file', 'ansible/.yamllint', 'ansible');

/** Runs rpmlint with the project's exceptions. Warnings count as failures. */
export async function rpmlint(): Promise<string> {
  const spec = 'packaging/rpm.spec';
  if (!fs.existsSync(spec)) return `${spec} is missing`;
  const { all } = await execa('rpmlint', ['--config', 'packaging/rpmlintrc.toml', spec], {
    all: true,
    reject: false,
  });
  return / 0 errors, 0 warnings, /.test(all) ? '' : all;
}
