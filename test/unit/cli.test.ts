import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { run } from '../../agent/cli.ts';
import type { SystemReader } from '../../agent/system/reader.ts';
import type { Report } from '../../agent/report/report.ts';
import { version } from '../../agent/lib/version.ts';
import { ordinaryGuest, preparedGuest } from '../harness/ordinary-guest.ts';
import { type Guest, goodGuest, maintenanceGuest, withGuest } from '../harness/guest.ts';

interface Said {
  code: number;
  stdout: string;
  stderr: string;
}

async function say(reader: SystemReader, argv: string[], terminal = false): Promise<Said> {
  const said = { stdout: '', stderr: '' };
  const code = await run(argv, reader, {
    stdout: (text) => void (said.stdout += text),
    stderr: (text) => void (said.stderr += text),
    terminal,
  });
  return { code, ...said };
}

const ask = (guest: Guest, ...argv: string[]) => withGuest(guest, (reader) => say(reader, argv));

/** Exactly one line, without the words of a stack trace. */
function assertOneLine(text: string, said: RegExp): void {
  assert.match(text, /^immutafs-agent: [^\n]+\n$/);
  assert.match(text, said);
  assert.not.match(text, /\bat .*:\d+|Error:/);
}

const usage = suite('usage errors: exit 2 and one line');
for (const [argv, said] of [
  [[], /no command given/],
  [['destroy'], /unknown command 'destroy'/],
  [['help', 'destroy'], /unknown command 'destroy'/],
  [['--destroy'], /unknown option '--destroy'/],
  [['status', '--destroy'], /unknown option '--destroy'/],
  [['status', 'now'], /too many arguments/],
  [['check', 'now'], /too many arguments/],
  [['version', 'now'], /too many arguments/],
  [['status', '--color', 'blue'], /argument 'blue' is invalid.*auto, always, never/],
  [['status', '--color=blue'], /argument 'blue' is invalid/],
  [['status', '--color'], /argument missing/],
  [['status', '--json=1'], /./],
  [['status', '--json', '--prometheus'], /'--prometheus' cannot be used with option '--json'/],
  [['check', '--json', '--prometheus'], /'--prometheus' cannot be used with option '--json'/],
  [['status', '--explain', 'no-such-check'], /no check is called no-such-check/],
  [['prepare', 'now'], /too many arguments/],
  [['prepare', '--only', 'everything'], /argument 'everything' is invalid.*home, tmp, mtab/],
  [['prepare', '--only', 'tmp', '--skip', 'home'], /'--only <step...>' cannot be used with option '--skip/],
  [['prepare', '--skip', 'home', 'tmp', 'mtab', 'fstab', 'etc', 'var', 'initramfs', 'boot'], /every step/],
  [['prepare', '--home-device', 'vdb'], /--home-device takes a device below \/dev, not vdb/],
  [['prepare', '--home-uuid', '/dev/vdb'], /--home-uuid takes the UUID of a file system, not \/dev\/vdb/],
  [['prepare', '--home-device', '/dev/vdb', '--home-uuid', '1'], /cannot be used with option '--home-uuid/],
  [['prepare', '--wipe', '/dev/vdb'], /--wipe names the disk that --home-device names/],
  [['prepare', '--tmp-size', '0'], /--tmp-size takes a share of the memory \(25%\) or a size \(2g\), not 0/],
  [['prepare', '--tmp-mode', '777'], /argument '777' is invalid.*1777, 1700/],
  [['prepare', '--undo', '--apply'], /'--undo' cannot be used with option '--apply'/],
] as const) {
  usage(argv.join(' ') || 'nothing', async () => {
    const { code, stdout, stderr } = await ask(goodGuest(), ...argv);
    assert.is(code, 2, stderr);
    assert.is(stdout, '');
    assertOneLine(stderr, said);
  });
}
usage.run();

const simple = suite('help and version');
for (const argv of [['version'], ['--version'], ['-V']]) {
  simple(argv.join(' '), async () => {
    assert.equal(await ask(goodGuest(), ...argv), { code: 0, stdout: `${version}\n`, stderr: '' });
  });
}
for (const argv of [['help'], ['--help'], ['-h'], ['help', 'status'], ['status', '--help']]) {
  simple(argv.join(' '), async () => {
    const { code, stdout, stderr } = await ask(goodGuest(), ...argv);
    assert.equal([code, stderr], [0, '']);
    assert.match(stdout, /^Usage: immutafs-agent/);
  });
}
simple('every command and the exit codes are in the help', async () => {
  const { stdout } = await ask(goodGuest(), 'help');
  for (const word of ['status', 'check', 'version', 'help', 'Exit codes: 0', '4 not sealed'])
    assert.match(stdout, word);
});
simple.run();

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
    const text = await ask(guest, 'status');
    const json = await ask(guest, 'status', '--json');
    assert.equal([text.code, json.code, text.stderr, json.stderr], [expected, expected, '', '']);
    assert.match(text.stdout, `  ${verdict.toUpperCase()}  `);
    assert.is((JSON.parse(json.stdout) as Report).verdict, verdict);
  });
}

status('a configuration problem: exit 2, one line that names it, and the report all the same', async () => {
  const guest = goodGuest();
  guest.files['etc/immutafs/immutafs.conf'] = 'MODE=auto\nMODES=1\n';
  const { code, stdout, stderr } = await ask(guest, 'status');
  assert.is(code, 2);
  assertOneLine(
    stderr,
    /^immutafs-agent: \/etc\/immutafs\/immutafs\.conf:2: MODES: unknown key, ignoring it\n$/,
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
      say(reader, ['status', `--color=${option}`], terminal),
    );
    assert.is(stdout.includes('\x1b['), colored);
  });
}
status('--json has no colours', async () => {
  const { stdout } = await withGuest(goodGuest(), (reader) =>
    say(reader, ['status', '--json', '--color=always'], true),
  );
  assert.is(stdout.includes('\x1b'), false);
});
for (const [title, guest, code, said] of [
  [
    'an ordinary guest',
    ordinaryGuest(),
    1,
    /^Not ready to seal:\n {2}home: blocked: .*\n {2}tmp: needed: .*\n {2}mtab: needed: /,
  ],
  ['one that is sealed', goodGuest(), 1, /^This guest is sealed: disk vda is read-only/],
  ['one that has been prepared', preparedGuest(), 0, /^Ready to seal\.\n$/],
] as const) {
  status(`check --ready-to-seal: ${title}`, async () => {
    const found = await ask(guest, 'check', '--ready-to-seal');
    assert.is(found.code, code, found.stdout);
    assert.match(found.stdout, said);
  });
}
status('prepare: one that has been prepared is told how to go on', async () => {
  const { code, stdout } = await ask(preparedGuest(), 'prepare');
  assert.is(code, 0, stdout);
  assert.match(stdout, /Ready to seal\. Shut this guest down with `systemctl poweroff`: killed/);
  assert.match(stdout, 'readonly=on');
});
status('prepare: what is not seen by everybody is asked by root', async () => {
  const { code, stderr } = await withGuest(preparedGuest(), (reader) => {
    const environment = () => ({ hostname: 'g', kernel: '3.10', uid: 1000, seconds: 1 });
    return say({ ...reader, environment }, ['prepare']);
  });
  assert.is(code, 3);
  assertOneLine(stderr, /prepare must be run by root/);
});
status('what was typed does not drive the terminal that the error is shown on', async () => {
  const { code, stderr } = await ask(goodGuest(), 'status', '--explain', 'a\x1b[31mb\x9b1m');
  assert.is(code, 2);
  assert.match(stderr, 'a?[31mb?1m');
});
status('--explain', async () => {
  const { code, stdout } = await ask(goodGuest(), 'status', '--explain', 'root-readonly');
  assert.is(code, 0);
  assert.match(stdout, /^root-readonly: /);
});
status.run();

const blind = suite('what cannot be seen');
for (const [title, change] of Object.entries<(root: string) => void>({
  'no mountinfo': (root) => fs.rmSync(path.join(root, 'proc/self/mountinfo')),
  'malformed mountinfo': (root) => fs.writeFileSync(path.join(root, 'proc/self/mountinfo'), 'hello\n'),
  'empty mountinfo': (root) => fs.writeFileSync(path.join(root, 'proc/self/mountinfo'), ''),
})) {
  blind(`${title}: exit 3, and no stack trace`, async () => {
    const said = await withGuest(goodGuest(), (reader, root) => {
      change(root);
      return say(reader, ['status']);
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
    const { code, stdout } = await say(reader, ['status', '--json']);
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

const check = suite('check');
check('leaves the report that status prints', async () => {
  await withGuest(goodGuest(), async (reader, root) => {
    const { code, stderr } = await say(reader, ['check', '--boot']);
    assert.equal([code, stderr.replace(/^<\d>.*\n/gm, '')], [0, '']);
    const file = path.join(root, 'run/immutafs/report.json');
    assert.is(fs.statSync(file).mode & 0o7777, 0o644);
    const { stdout } = await say(reader, ['status', '--json']);
    assert.is(
      (JSON.parse(fs.readFileSync(file, 'utf8')) as Report).verdict,
      (JSON.parse(stdout) as Report).verdict,
    );
    assert.ok(fs.readFileSync(file, 'utf8').endsWith('}\n'));
  });
});
check.run();

const program = suite('the program');
const main = path.join(import.meta.dirname, '../../agent/main.ts');
program('the exit code is the command’s', () => {
  const { status: code, stdout } = spawnSync(process.execPath, [main, 'version'], { encoding: 'utf8' });
  assert.equal([code, stdout], [0, `${version}\n`]);
  assert.is(spawnSync(process.execPath, [main, 'destroy']).status, 2);
});
program('a reader that goes away is no fault', () => {
  const { stderr } = spawnSync('bash', ['-c', '"$0" "$1" help | head -1', process.execPath, main], {
    encoding: 'utf8',
  });
  assert.is(stderr, '');
});
program.run();
