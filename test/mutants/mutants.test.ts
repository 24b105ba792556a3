import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inDirectories } from '../harness/temporary.ts';
import { executedIn } from './covered.ts';
import { mutantsOf } from './mutate.ts';
import { passes } from './run-test.ts';

const mutants = suite('mutants');
const inFolder = inDirectories(mutants);
const changed = (source: string) =>
  mutantsOf(source).map(
    ({ start, end, replacement }) => source.slice(0, start) + replacement + source.slice(end),
  );

for (const [source, ...expected] of [
  ['if (a) b();', 'if (true) b();', 'if (false) b();', 'if (a) ;'],
  ['x = a < b;', ';', 'x = ((a) <= (b));'],
  ['const x = !a && b;', 'const x = ((!a) || (b));', 'const x = a && b;'],
  ['const x = l.some(f);', 'const x = l.every(f);'],
  ["const x = 'a' + b;"],
  ['type A = true;'],
]) {
  mutants(`of ${source}`, () => assert.equal(changed(source ?? ''), expected));
}

const module = 'export const larger = (a: number, b: number) => a > b;\nexport const unused = () => true;\n';
const test = `import { test } from 'uvu';
import { larger } from './module.ts';
test('larger', () => { if (larger(1, 1)) throw new Error('larger'); });
test.run();
`;

for (const [mutant, noticed] of [
  ['a >= b', true],
  ['a - b > 0', false],
] as const) {
  inFolder(`${mutant}: ${noticed ? '' : 'not '}noticed; the module keeps its text`, async (folder) => {
    const at = (name: string) => path.join(folder, name);
    fs.symlinkSync(path.resolve('node_modules'), at('node_modules'));
    fs.writeFileSync(at('module.ts'), module);
    fs.writeFileSync(at('module.test.ts'), test);
    fs.writeFileSync(at('mutant.ts'), module.replace('a > b', mutant));
    const args = [`--import=${path.join(import.meta.dirname, 'hook.mjs')}`];
    const env = { MUTANT_FILE: at('module.ts'), MUTANT_TEXT: at('mutant.ts') };
    assert.is(await passes(at('module.test.ts'), args, env, 20), !noticed);
    assert.is(fs.readFileSync(at('module.ts'), 'utf8'), module);
  });
}

inFolder('what a test executes, and what it does not', async (folder) => {
  const at = (name: string) => path.join(folder, name);
  fs.symlinkSync(path.resolve('node_modules'), at('node_modules'));
  fs.writeFileSync(at('module.ts'), module);
  fs.writeFileSync(at('module.test.ts'), test);
  assert.ok(await passes(at('module.test.ts'), [], { NODE_V8_COVERAGE: at('coverage') }, 20));
  const executed = executedIn(at('coverage'), at('module.ts'));
  assert.equal([executed(module.indexOf('a > b')), executed(module.indexOf('true'))], [true, false]);
});

inFolder('a test without an end is ended, and has failed', async (folder) => {
  fs.writeFileSync(path.join(folder, 'endless.test.ts'), 'for (;;);\n');
  assert.is(await passes(path.join(folder, 'endless.test.ts'), [], {}, 1), false);
});
mutants.run();
