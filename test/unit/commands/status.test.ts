import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checks } from '../../../agent/checks/index.ts';
import type { Report } from '../../../agent/report/report.ts';
import { assertOneLine, runCommand, runIn } from '../../harness/command-line.ts';
import { goodGuest, maintenanceGuest, withGuest } from '../../harness/guest.ts';

const status = suite('status');
const broken = goodGuest();
broken.answers.tryWrite = 'OK';
const unclear = goodGuest();
unclear.answers.tryWrite = 'EIO';
for (const [title, guest, expected, verdict] of [
  ['sealed', goodGuest(), 0, 'sealed'],
  ['failed', broken, 1, 'failed'],
  ['unknown', unclear, 3, 'unknown'],
  ['maintenance', maintenanceGuest(), 4, 'maintenance'],
] as const) {
  status(`${title}: exit code and both views`, async () => {
    const text = await runIn(guest, 'status');
    const json = await runIn(guest, 'status', '--json');
    assert.equal([text.code, json.code, text.stderr, json.stderr], [expected, expected, '', '']);
    assert.match(text.stdout, `  ${verdict.toUpperCase()}: `);
    assert.is((JSON.parse(json.stdout) as Report).verdict, verdict);
  });
}

status('a configuration problem: exit 2, one line that names it, and the report', async () => {
  const guest = goodGuest();
  guest.files['etc/immutafs/immutafs.conf'] = 'MODE=auto\nMODES=1\n';
  const { code, stdout, stderr } = await runIn(guest, 'status');
  assert.is(code, 2);
  assertOneLine(
    stderr,
    /^immutafs-agent: \/etc\/immutafs\/immutafs\.conf: line 2: MODES: unknown key, ignoring it \(did you mean MODE\?\)\n$/,
  );
  assert.match(stdout, 'config-valid');
});

for (const [option, terminal, colored] of [
  ['auto', true, true],
  ['auto', false, false],
  ['always', false, true],
  ['never', true, false],
] as const) {
  status(`--color=${option} ${terminal ? 'on a terminal' : 'in a pipe'}`, async () => {
    const { stdout } = await withGuest(goodGuest(), (reader) =>
      runCommand(reader, ['status', `--color=${option}`], { terminal }),
    );
    assert.is(stdout.includes('\x1b['), colored);
  });
}
status('--json has no colours', async () => {
  const { stdout } = await withGuest(goodGuest(), (reader) =>
    runCommand(reader, ['status', '--json', '--color=always'], { terminal: true }),
  );
  assert.is(stdout.includes('\x1b'), false);
});
status('a terminal: lines are wrapped at its width; a pipe: they are not', async () => {
  const guest = goodGuest();
  const shown = await withGuest(guest, async (reader) => ({
    wrapped: (await runCommand(reader, ['status'], { terminal: true, columns: 50 })).stdout,
    piped: (await runCommand(reader, ['status'])).stdout,
  }));
  const plain = shown.wrapped.replace(/\x1b\[[0-9;]*m/g, ''); // oxlint-disable-line no-control-regex -- colours
  for (const line of plain.split('\n')) assert.ok(line.length <= 50, line);
  assert.ok(shown.piped.split('\n').length < plain.split('\n').length);
  assert.ok(shown.piped.split('\n').some((line) => line.length > 80));
});
status('--all lists every check; without it, none that passes', async () => {
  const { stdout: all } = await runIn(goodGuest(), 'status', '--all');
  const { stdout: short } = await runIn(goodGuest(), 'status');
  for (const { id } of checks) {
    assert.match(all, ` ${id} `);
    assert.not.match(short, id);
  }
});
status('--all does not change --json', async () => {
  const { stdout } = await runIn(goodGuest(), 'status', '--json');
  assert.is((await runIn(goodGuest(), 'status', '--json', '--all')).stdout, stdout);
});
status('--explain', async () => {
  const { code, stdout } = await runIn(goodGuest(), 'status', '--explain', 'root-readonly');
  assert.is(code, 0);
  assert.match(stdout, /^root-readonly: /);
});
status.run();

const blind = suite('status: unreadable files');
for (const [title, change] of Object.entries<(root: string) => void>({
  'no mountinfo': (root) => fs.rmSync(path.join(root, 'proc/self/mountinfo')),
  'malformed mountinfo': (root) => fs.writeFileSync(path.join(root, 'proc/self/mountinfo'), 'hello\n'),
  'empty mountinfo': (root) => fs.writeFileSync(path.join(root, 'proc/self/mountinfo'), ''),
})) {
  blind(`${title}: exit 3, and no stack trace`, async () => {
    const said = await withGuest(goodGuest(), (reader, root) => {
      change(root);
      return runCommand(reader, ['status']);
    });
    assert.is(said.code, 3);
    assert.match(said.stdout + said.stderr, 'mountinfo');
    assert.not.match(said.stdout + said.stderr, /\bat .*\.ts:\d+|Error:/);
    assert.ok(said.stderr.split('\n').length <= 2, said.stderr);
  });
}

blind('a disk that vanishes: the one check is an error, the others are not', async () => {
  const report = await withGuest(goodGuest(), async (reader, root) => {
    fs.rmSync(path.join(root, 'sys/devices/pci0000:00/0000:00:04.0/virtio0/features'));
    const { code, stdout } = await runCommand(reader, ['status', '--json']);
    assert.is(code, 3);
    return JSON.parse(stdout) as Report;
  });
  const errors = report.checks.filter(({ status: each }) => each === 'error').map(({ id }) => id);
  assert.ok(errors.includes('host-enforced'));
  for (const id of ['root-readonly', 'root-write-probe', 'home-options', 'mtab-link']) {
    assert.is(report.checks.find((each) => each.id === id)?.status, 'pass', id);
  }
  assert.equal([report.mode, report.verdict], ['sealed', 'unknown']);
});
blind.run();
