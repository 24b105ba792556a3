import { writeFiles } from '../temporary.ts';

const passes = "test('passes', () => undefined);";
const run = 'test.run();';
const waits = 'await new Promise(() => setInterval(() => undefined, 1000));';
const child = `const child = spawn('sleep', ['600'], { stdio: 'inherit' });
process.stdout.write(\`child \${child.pid}\\n\`);`;
const good = "console.log('2 passed, 0 failed');";

/** Projects for the tests of the runner: their linter, and the files in test/unit, after the import of `test`. */
const projects: Record<string, { lint: string; unit: Record<string, string> }> = {
  green: {
    lint: good,
    unit: {
      one: `const named = suite('named'); named('passes', () => undefined); named.run(); ${passes} ${run}`,
    },
  },
  'broken-lint': {
    lint: "console.log('passed  one\\nfailed  two\\n1 passed, 1 failed'); process.exitCode = 1;",
    unit: {},
  },
  red: {
    lint: good,
    unit: {
      passing: `${passes} ${run}`,
      failing: `${passes} test('fails', () => assert.is(1, 2, 'seen in the output')); ${run}`,
      'before-throws': `test.before(() => { throw new Error('before'); }); ${passes} ${passes} ${run}`,
      'run-forgotten': `${passes} ${run} suite('two')('never runs', () => undefined);`,
      'run-forgotten-everywhere': passes,
      skipped: `${passes} test.skip('is skipped', () => undefined); ${run}`,
      only: `test.only('passes', () => undefined); test('is left out', () => undefined); ${run}`,
      empty: run,
      crashing: "throw new Error('crashed at the start');",
      killed: `test('is killed', () => void process.kill(process.pid, 'SIGKILL')); ${run}`,
      'exits-badly': `${passes} ${run} process.on('exit', () => { process.exitCode = 7; });`,
      'leaves-early': `test('leaves', () => process.exit(0)); ${run}`,
    },
  },
  hanging: {
    lint: '',
    unit: {
      hanging: `test('hangs, and so does its child', async () => { ${child} ${waits} }); ${run}`,
      'leaves-a-child': `test('leaves a child that holds its stdout', () => { ${child} child.unref(); }); ${run}`,
      stubborn: `process.on('SIGTERM', () => undefined); test('hangs', async () => { ${waits} }); ${run}`,
    },
  },
  unstable: {
    lint: '',
    unit: {
      unstable: `test('passes from the second time on', () => {
        const seen = fs.existsSync('mark'); fs.writeFileSync('mark', ''); assert.ok(seen, 'the first time');
      }); ${run}`,
    },
  },
};

const imports = `import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { suite, test } from 'uvu';
import * as assert from 'uvu/assert';
`;

/** Writes a project to an empty folder, from which Node.js must find uvu. */
export function writeProject(folder: string, name: string): void {
  const { lint = '', unit = {} } = projects[name] ?? {};
  const tests = Object.entries(unit).map(([file, text]): [string, string] => [
    `test/unit/${file}.test.ts`,
    imports + text,
  ]);
  writeFiles(folder, { ...(lint === '' ? {} : { 'test/lint.ts': lint }), ...Object.fromEntries(tests) });
}
