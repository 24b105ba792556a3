import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { byAgent, byShell } from './config-parsers.ts';
import { shells, withLibrary } from './shells.ts';

const folder = path.join(import.meta.dirname, '../fixtures/config');
const names = fs
  .readdirSync(folder)
  .filter((file) => file.endsWith('.conf'))
  .map((file) => file.slice(0, -'.conf'.length));
const defaults = fs.readFileSync(path.join(folder, 'empty.expected'), 'utf8').trimEnd().split('\n');
const fixtures = names.map((name) => ({
  text: fs.readFileSync(path.join(folder, `${name}.conf`), 'latin1'),
  expected: readExpected(fs.readFileSync(path.join(folder, `${name}.expected`), 'utf8')),
}));

/**
 * Reads the expected outcome of a fixture: a line KEY=value for each value other than the default, `warning` lines for both
 * parsers, `agent` lines for the agent only. empty.expected has the defaults.
 */
function readExpected(text: string): ReturnType<typeof byAgent> {
  const lines = text.trimEnd().split('\n');
  const keyOf = (line: string) => line.slice(0, line.indexOf('=') + 1);
  const after = (mark: string) =>
    lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(mark.length));
  return {
    values: defaults.map((value) => lines.find((line) => line.startsWith(keyOf(value))) ?? value),
    warnings: after('warning '),
    agentOnly: after('agent '),
  };
}

const agent = suite('fixtures, agent');
agent('each has an expected outcome', () => {
  assert.ok(names.length > 20);
  const expected = fs.readdirSync(folder).filter((file) => file.endsWith('.expected'));
  assert.is(expected.length, names.length);
});
fixtures.forEach(({ text, expected }, index) => {
  agent(names[index] ?? '', () => assert.equal(byAgent(text), expected));
});
agent.run();

for (const [name, shell] of Object.entries(shells)) {
  const boot = suite(`fixtures, ${name}`);
  const results = byShell(
    shell,
    fixtures.map(({ text }) => text),
  );
  fixtures.forEach(({ expected: { values, warnings } }, index) => {
    boot(names[index] ?? '', () => assert.equal(results[index], { values, warnings }));
  });
  boot.run();
}

const keys = [
  ...[
    'MODE',
    'VAR_SIZE',
    'VAR_INODES',
    'VAR_OPTIONS',
    'OVERLAY',
    'PERSIST',
    'PERSIST_STORE',
    'SCRATCH',
    'MOUNT_OPTIONS',
    'SEED',
    'SEED_TIMEOUT',
    'ON_FAILURE',
    'ON_IMPOSTOR',
    'FORWARD',
    'USAGE_WARN',
    'PROMETHEUS_FILE',
  ],
  ...['REQUIRE_READONLY', 'mode', 'MODES', 'VAR-SIZE', '', ' MODE', '#MODE', '\xc3\x96', 'FORWARD_'],
];
const values = [
  ...[
    'auto',
    'sealed',
    'off',
    'degraded',
    'emergency',
    'poweroff',
    'nosuid',
    'nosuid,nodev,noexec',
    'host',
    '',
  ],
  ...['25%', '100%', '101%', '0%', '512m', '2G', '2k', '1000', '999', '200k', '1M', '09', '*', '$HOME', '\\'],
  ...[
    '/opt/a:noexec /root',
    '/srv:suid,dev /x:',
    '/a /b:autostart,exec',
    '/a/../b /.',
    '/ö /a:b',
    '//a /a/ /',
    '/a:exec,foo,empty /b:empty,copy,exec /c:copy,empty, /d:exec:dev',
    'strict Strict /run/user/*:x /dev:noexec,x /dev/pts /e:required,foo,required',
  ],
  ...['/ /boot', 'a b', '"off"', 'off # x', '\xff', '\x81\x82', '\xc2\xa0', '\x01', '\x7f', '~', '`id`', '='],
];
/** Any byte except NUL, which sh drops. */
const byte = fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code));
const noise = fc.oneof(
  { weight: 8, arbitrary: fc.constant('') },
  { weight: 2, arbitrary: fc.constantFrom(' ', '\t', '\r', ',', '%', 'm', '0') },
  { weight: 1, arbitrary: fc.string({ unit: byte, maxLength: 4 }) },
);
const line = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(noise, fc.constantFrom(...keys), noise, fc.constantFrom('=', '=', '=', '==', ''), noise)
      .chain((before) =>
        fc
          .tuple(fc.constantFrom(...values), noise)
          .map((after) => [...before, ...after].join('').replaceAll('\n', '')),
      ),
  },
  { weight: 1, arbitrary: fc.string({ unit: byte, maxLength: 20 }) },
);
const text = fc
  .tuple(fc.array(line, { maxLength: 8 }), fc.constantFrom('', '\n'))
  .map(([lines, end]) => lines.join('\n') + end);

const differential = suite('both parsers give the same result for any text');
for (const [name, shell] of Object.entries(shells)) {
  differential(name, () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 50, maxLength: 100 }), (texts) => {
        const expected = texts.map((each) => {
          const { values: good, warnings } = byAgent(each);
          return { values: good, warnings };
        });
        assert.equal(byShell(shell, texts), expected);
      }),
      { numRuns: 8 },
    );
  });
}
differential.run();

const files = suite('read_config of an unusable file');
for (const [name, shell] of Object.entries(shells)) {
  const readFile = (file: string) =>
    withLibrary(shell, 'read_config "$1" 2>/dev/null; printf "%s\\n" "$conf_MODE" "$warnings"', file);
  files(`${name}: no file`, () => assert.is(readFile('/nowhere/immutafs.conf'), 'auto\n\n'));
  files(`${name}: a directory`, () =>
    assert.is(readFile('/usr'), 'auto\n/usr: not a readable file, ignoring it\n\n'),
  );
  files(`${name}: a device that never ends`, () =>
    assert.is(readFile('/dev/zero'), 'auto\n/dev/zero: not a readable file, ignoring it\n\n'),
  );
}
files.run();
