/** immutafs.conf, as the agent and the boot read it: the files of test/fixtures/config, and files that cannot be used. */
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootKeys } from '../../../agent/config/boot-keys.ts';
import { type ConfigProblem, formatProblem, parseConfig } from '../../../agent/config/config.ts';
import { type BootConfig, mountOptionItems, overlayItems, readConfig } from '../../../boot/guest/config.ts';
import { rootReader } from '../../harness/boot-native.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const file = 'etc/immutafs/immutafs.conf';
const keys = Object.keys(bootKeys) as (keyof typeof bootKeys)[];

interface Outcome {
  /** KEY=value, of the keys that the boot uses. */
  lines: string[];
  warnings: string[];
}

function byBoot(files: Parameters<typeof writeFiles>[1]): Outcome & Pick<BootConfig, 'values'> {
  return inTemporaryDirectory((root) => {
    writeFiles(root, files);
    const { values, warnings } = readConfig(rootReader(root), `/${file}`);
    return { values, warnings, lines: keys.map((key) => `${key}=${values[key]}`) };
  });
}

function byAgent(text: string): Outcome & { agentOnly: string[] } {
  const { config, problems } = parseConfig(text);
  // Only the agent says what may have been meant, and verifies the values of its own keys.
  const plain = (problem: ConfigProblem) => formatProblem({ ...problem, hint: '' });
  const isAgentOnly = ({ key, reason }: ConfigProblem) =>
    /^(an item: |[!-~]+: )?must be |^[0-9]+% is above /.test(reason) && !Object.hasOwn(bootKeys, key);
  return {
    lines: keys.map((key) => `${key}=${config[key]}`),
    warnings: problems.filter((problem) => !isAgentOnly(problem)).map(plain),
    agentOnly: problems.filter(isAgentOnly).map(plain),
  };
}

const folder = path.join(import.meta.dirname, '../../fixtures/config');
const names = fs.readdirSync(folder).filter((name) => name.endsWith('.conf'));
const readExpected = (name: string) => fs.readFileSync(path.join(folder, name), 'utf8').trimEnd().split('\n');
const defaults = readExpected('empty.expected');

const fixtures = suite('fixtures');
fixtures('each has an expected outcome', () => {
  assert.ok(names.length > 20);
  const expected = fs.readdirSync(folder).filter((name) => name.endsWith('.expected'));
  assert.is(expected.length, names.length);
});
for (const name of names) {
  fixtures(name, () => {
    const text = fs.readFileSync(path.join(folder, name), 'latin1');
    // A line KEY=value for each value other than the default, `warning` lines, and `agent` lines for the agent only.
    const expected = readExpected(name.replace(/conf$/, 'expected'));
    const after = (mark: string) =>
      expected.filter((line) => line.startsWith(mark)).map((line) => line.slice(mark.length));
    const lines = defaults.map((value) => {
      const key = value.slice(0, value.indexOf('=') + 1);
      return expected.find((line) => line.startsWith(key)) ?? value;
    });
    const warnings = after('warning ');
    assert.equal(byAgent(text), { lines, warnings, agentOnly: after('agent ') });
    const found = byBoot({ [file]: text });
    assert.equal({ lines: found.lines, warnings: found.warnings }, { lines, warnings });
  });
}
fixtures.run();

const items = suite('the lists with what other keys add to them');
items('OVERLAY and SEED', () => {
  const overlays = (text: string) => overlayItems(byBoot({ [file]: text }).values);
  assert.equal(overlays('OVERLAY=/opt:noexec\nSEED=host\n'), ['/opt:noexec', '/etc']);
  assert.equal(overlays('OVERLAY=/etc:noexec\nSEED=host\n'), ['/etc:noexec']);
  assert.equal(overlays('OVERLAY=/root\n'), ['/root']);
});
items('MOUNT_OPTIONS, with strict', () => {
  const options = (text: string) => mountOptionItems(byBoot({ [file]: text }).values).join(' ');
  assert.is(options('MOUNT_OPTIONS=/tmp:nodev\n'), '/tmp:nodev');
  assert.is(options('MOUNT_OPTIONS=\n'), '');
  const strict = options('MOUNT_OPTIONS=/x:nodev strict strict\n');
  assert.match(strict, /^\/dev:noexec,nosuid \/run:.* \/x:nodev$/);
  assert.not.match(strict, 'strict');
});
items('a value that is not verified is text', () => {
  const hostile = `';touch x;$(touch y)\`touch z\`"\\ *\xe9`;
  const { values, warnings } = byBoot({
    [file]: `FORWARD=${hostile}\nFORWARD_STATE=/a b\nMODE=${hostile}\n`,
  });
  assert.equal([values.FORWARD, values.FORWARD_STATE], [hostile, '/a b']);
  assert.is(warnings.length, 1);
});
items.run();

const valid = suite('valid values');
for (const [value, isValid] of [
  ['/dev/disk/by-id/virtio-scratch', true],
  ...['/dev/vdb', '/dev/disk/by-id/ata-x', '/dev/disk/by-id/virtio-', '/dev/disk/by-id/virtio-a/../b'].map(
    (link) => [link, false] as const,
  ),
] as const) {
  valid(`SCRATCH_DEVICE ${value}`, () => assert.is(bootKeys.SCRATCH_DEVICE.good(value), isValid));
}
valid.run();

const unusable = suite('a file that cannot be used');
const [noFile, notReadable] = [[], ['/etc/immutafs/immutafs.conf: not a readable file, ignoring it']];
for (const [title, files, warnings] of [
  ['no file', { 'etc/immutafs/x': '' }, noFile],
  ['no directory', { 'etc/x': '' }, noFile],
  ['a directory', { [`${file}/x`]: '' }, notReadable],
  ['a device', { [file]: { linkTo: '/dev/zero' } }, notReadable],
  ['a link that leads nowhere', { [file]: { linkTo: 'nowhere' } }, notReadable],
  ['a directory that is a link that leads nowhere', { 'etc/immutafs': { linkTo: 'nowhere' } }, notReadable],
  ['a file in place of the directory', { 'etc/immutafs': 'x' }, notReadable],
  [
    'too large',
    { [file]: `MODE=off\n${'#'.repeat(65528)}` },
    ['/etc/immutafs/immutafs.conf: larger than 65536 bytes, ignoring it'],
  ],
] as const) {
  unusable(title, () => {
    const found = byBoot(files);
    // ON_FAILURE is unknown.
    const strict = defaults.map((line) => (line === 'ON_FAILURE=degraded' ? 'ON_FAILURE=poweroff' : line));
    assert.equal([found.lines, found.warnings], [warnings.length === 0 ? defaults : strict, [...warnings]]);
  });
}
unusable('as large as it may be', () => {
  assert.is(byBoot({ [file]: `MODE=off\n${'#'.repeat(65527)}` }).lines[0], 'MODE=off');
});
unusable.run();
