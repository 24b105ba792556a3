/** immutafs.conf, as the agent and the boot read it: the files of test/fixtures/config, and files that cannot be used. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootKeys } from '../../../agent/config/boot-keys.ts';
import { type ConfigProblem, formatProblem, parseConfig } from '../../../agent/config/config.ts';
import { NO, USAGE, YES } from '../../../boot/commands.ts';
import { runBoot } from '../../harness/boot-native.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const file = 'etc/immutafs/immutafs.conf';
const keys = Object.keys(bootKeys) as (keyof typeof bootKeys)[];

/** The values of the keys that the boot uses, and the warnings. */
interface Outcome {
  values: string[];
  warnings: string[];
}

/** What a shell has after `eval`. */
const lines = `warn() { printf 'warning %s\\n' "$1"; }
eval "$(cat assignments)"
for key in ${keys.join(' ')} FORWARD FORWARD_STATE; do eval "printf '%s=%s\\n' $key \\"\\$conf_$key\\""; done
printf '%s\\n' "overlay_items=$overlay_items" "option_items=$option_items"`;

function inShell(files: Parameters<typeof writeFiles>[1], shell = 'dash'): Outcome & { more: string[] } {
  const printed = inTemporaryDirectory((root) => {
    writeFiles(root, files);
    const { code, stdout, stderr } = runBoot(root, ['config', `/${file}`]);
    assert.equal([code, stderr], [YES, '']);
    fs.writeFileSync(path.join(root, 'assignments'), stdout, 'latin1');
    return execFileSync(shell, ['-c', lines], { encoding: 'latin1', cwd: root });
  });
  const all = printed.trimEnd().split('\n');
  const warnings = all.filter((line) => line.startsWith('warning ')).map((line) => line.slice(8));
  const values = all.slice(warnings.length);
  return { warnings, values: values.slice(0, keys.length), more: values.slice(keys.length) };
}

function byAgent(text: string): Outcome & { agentOnly: string[] } {
  const { config, problems } = parseConfig(text);
  // Only the agent says what may have been meant, and verifies the values of its own keys.
  const plain = (problem: ConfigProblem) => formatProblem({ ...problem, hint: '' });
  const isAgentOnly = ({ key, reason }: ConfigProblem) =>
    /^(an item: |[!-~]+: )?must be |^[0-9]+% is above /.test(reason) && !Object.hasOwn(bootKeys, key);
  return {
    values: keys.map((key) => `${key}=${config[key]}`),
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
    const values = defaults.map((value) => {
      const key = value.slice(0, value.indexOf('=') + 1);
      return expected.find((line) => line.startsWith(key)) ?? value;
    });
    const warnings = after('warning ');
    assert.equal(byAgent(text), { values, warnings, agentOnly: after('agent ') });
    const found = inShell({ [file]: text });
    assert.equal({ values: found.values, warnings: found.warnings }, { values, warnings });
  });
}
fixtures.run();

const shell = suite('the assignments for sh');
shell('a value that is not verified is text, in each shell', () => {
  const hostile = `';touch x;$(touch y)\`touch z\`"\\ *\xe9`;
  for (const each of ['dash', 'bash']) {
    const { more, warnings } = inShell(
      { [file]: `FORWARD=${hostile}\nFORWARD_STATE=/a b\nMODE=${hostile}\n` },
      each,
    );
    assert.equal(more.slice(0, 2), [`FORWARD=${hostile}`, 'FORWARD_STATE=/a b']);
    assert.is(warnings.length, 1);
  }
});
shell('the lists with what other keys add to them', () => {
  const items = (text: string) => inShell({ [file]: text }).more.slice(2);
  assert.equal(items('OVERLAY=/opt:noexec\nSEED=host\nMOUNT_OPTIONS=/tmp:nodev\n'), [
    'overlay_items=/opt:noexec /etc',
    'option_items=/tmp:nodev',
  ]);
  assert.equal(items('OVERLAY=/etc:noexec\nSEED=host\nMOUNT_OPTIONS=\n'), [
    'overlay_items=/etc:noexec',
    'option_items=',
  ]);
  const [overlays, options = ''] = items('OVERLAY=/root\nMOUNT_OPTIONS=/x:nodev strict strict\n');
  assert.is(overlays, 'overlay_items=/root');
  assert.match(options, /^option_items=\/dev:noexec,nosuid \/run:.* \/x:nodev$/);
  assert.not.match(options, 'strict');
});
shell.run();

const valid = suite('valid');
for (const [key, value, code] of [
  ['SCRATCH_DEVICE', '/dev/disk/by-id/virtio-scratch', YES],
  ...['/dev/vdb', '/dev/disk/by-id/ata-x', '/dev/disk/by-id/virtio-', '/dev/disk/by-id/virtio-a/../b'].map(
    (link) => ['SCRATCH_DEVICE', link, NO] as const,
  ),
  ['FORWARD', 'relp://x', USAGE],
  ['toString', '', USAGE],
] as const) {
  valid(`${key} ${value}`, () =>
    inTemporaryDirectory((root) => assert.is(runBoot(root, ['valid', key, value]).code, code)),
  );
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
    const found = inShell(files);
    assert.equal([found.values, found.warnings], [defaults, [...warnings]]);
  });
}
unusable('as large as it may be', () => {
  assert.is(inShell({ [file]: `MODE=off\n${'#'.repeat(65527)}` }).values[0], 'MODE=off');
});
unusable.run();
