import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { version } from '../../agent/lib/version.ts';
import { guestStepIds } from '../../agent/prepare/engine/step.ts';
import { ordinaryGuest, preparedGuest } from '../harness/ordinary-guest.ts';
import { assertOneLine, runCommand, runIn } from '../harness/command-line.ts';
import { type Guest, goodGuest, withGuest } from '../harness/guest.ts';

const usage = suite('usage errors: exit 2 and one line');
for (const [argv, said] of [
  [[], /no command given/],
  [['destroy'], /unknown command 'destroy'/],
  [['help', 'destroy'], /unknown command 'destroy'/],
  [['--destroy'], /unknown option '--destroy'/],
  [['status', '--destroy'], /unknown option '--destroy'/],
  [['prepare', '--close-bypasses', '--strict-ptrace'], /unknown option '--strict-ptrace'/],
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
  [['prepare', '--only', 'tmp,everything'], /argument 'tmp,everything' is invalid.*home, tmp, mtab/],
  [['prepare', '--only', 'everything'], /argument 'everything' is invalid.*home, tmp, mtab/],
  [['prepare', '--only', 'tmp', '--skip', 'home'], /'--only <step...>' cannot be used with option '--skip/],
  [['prepare', '--skip', ...guestStepIds], /every step/],
  [['prepare', '--since', 'monday'], /--since takes a number of days, not monday/],
  [['prepare', '--since', '0'], /--since takes a number of days, not 0/],
  [['prepare', '--since', '100000'], /--since takes a number of days/],
  [['prepare', '--accept'], /argument missing/],
  [['prepare', '--accept', 'etc'], /--accept takes absolute paths and the word `changes`, not etc/],
  [['prepare', '--accept', '/'], /--accept takes absolute paths/],
  [['prepare', '--accept', '/a/../b'], /--accept takes absolute paths/],
  [['prepare', '--undo', '--accept', '/a'], /'--undo' cannot be used with option '--accept/],
  [['prepare', '--home-device', 'vdb'], /--home-device takes a device below \/dev, not vdb/],
  [['prepare', '--home-uuid', '/dev/vdb'], /--home-uuid takes the UUID of a file system, not \/dev\/vdb/],
  [['prepare', '--home-device', '/dev/vdb', '--home-uuid', '1'], /cannot be used with option '--home-uuid/],
  [['prepare', '--wipe', '/dev/vdb'], /--wipe must name the same disk as --home-device/],
  [
    ['prepare', '--tmp-size', '0'],
    /--tmp-size takes a percentage of the memory \(25%\) or a size \(2g\), not 0/,
  ],
  [['prepare', '--tmp-mode', '777'], /argument '777' is invalid.*1777, 1700/],
  [['prepare', '--undo', '--apply'], /'--undo' cannot be used with option '--apply'/],
] as const) {
  usage(argv.join(' ') || 'nothing', async () => {
    const { code, stdout, stderr } = await runIn(goodGuest(), ...argv);
    assert.is(code, 2, stderr);
    assert.is(stdout, '');
    assertOneLine(stderr, said);
  });
}
usage('control characters in an argument are replaced in the error message', async () => {
  const { code, stderr } = await runIn(goodGuest(), 'status', '--explain', 'a\x1b[31mb\x9b1m');
  assert.is(code, 2);
  assert.match(stderr, 'a?[31mb?1m');
});
usage.run();

const simple = suite('help and version');
for (const argv of [['version'], ['--version'], ['-V']]) {
  simple(argv.join(' '), async () => {
    assert.equal(await runIn(goodGuest(), ...argv), { code: 0, stdout: `${version}\n`, stderr: '' });
  });
}
for (const argv of [['help'], ['--help'], ['-h'], ['help', 'status'], ['status', '--help']]) {
  simple(argv.join(' '), async () => {
    const { code, stdout, stderr } = await runIn(goodGuest(), ...argv);
    assert.equal([code, stderr], [0, '']);
    assert.match(stdout, /^Usage: immutafs-agent/);
  });
}
simple('every command and the exit codes are in the help', async () => {
  const { stdout } = await runIn(goodGuest(), 'help');
  for (const word of ['status', 'check', 'version', 'help', 'Exit codes: 0', '4 not sealed'])
    assert.match(stdout, word);
});
simple.run();

const prepare = suite('prepare and check --ready-to-seal');
/** A prepared guest in which a file was changed, and no process has it open. */
function changedGuest(): Guest {
  const guest = preparedGuest();
  guest.answers.run = (program, args) =>
    program === '/usr/bin/find' && args.includes('-newerct')
      ? { stdout: '2000000000 f /etc/vendor/agent.conf\0', ended: 'good' }
      : undefined;
  return guest;
}

for (const [title, guest, code, said] of [
  [
    'an ordinary guest',
    ordinaryGuest(),
    1,
    /^Not ready to seal:\n {2}home: blocked: .*\n {2}tmp: needed: .*\n {2}mtab: needed: /,
  ],
  ['a sealed guest', goodGuest(), 1, /^This guest is sealed: disk vda is read-only/],
  ['a prepared guest', preparedGuest(), 0, /^Ready to seal\.\n$/],
  [
    'a prepared guest with a manual edit',
    changedGuest(),
    0,
    /^Ready to seal\.\nChanges of unknown origin, see `immutafs-agent prepare --only writes`: \/etc\/vendor \(1\)\n$/,
  ],
] as const) {
  prepare(`check --ready-to-seal: ${title}`, async () => {
    const found = await runIn(guest, 'check', '--ready-to-seal');
    assert.is(found.code, code, found.stdout);
    assert.match(found.stdout, said);
  });
}
prepare('prepare: a prepared guest: the next steps are shown', async () => {
  const { code, stdout } = await runIn(preparedGuest(), 'prepare');
  assert.is(code, 0, stdout);
  assert.match(
    stdout,
    /Ready to seal\. Shut this guest down with `systemctl poweroff`: a guest that is killed/,
  );
  assert.match(stdout, 'readonly=on');
});
for (const words of [['tmp,mtab', 'home'], ['tmp', 'mtab', 'home'], ['home,mtab,tmp']]) {
  prepare(`--only ${words.join(' ')}: these steps and no other`, async () => {
    const { stdout } = await runIn(preparedGuest(), 'prepare', '--json', '--only', ...words);
    const { steps } = JSON.parse(stdout) as { steps: { id: string }[] };
    assert.equal(
      steps.map(({ id }) => id),
      ['home', 'tmp', 'mtab'],
    );
  });
}
prepare('prepare: only root may run it', async () => {
  const { code, stderr } = await withGuest(preparedGuest(), (reader) => {
    const environment = () => ({ hostname: 'g', kernel: '3.10', uid: 1000, seconds: 1 });
    return runCommand({ ...reader, environment }, ['prepare']);
  });
  assert.is(code, 3);
  assertOneLine(stderr, /prepare must be run by root/);
});
prepare.run();

const program = suite('the program');
const main = path.join(import.meta.dirname, '../../agent/main.ts');
program('the exit code is the command’s', () => {
  const { status: code, stdout } = spawnSync(process.execPath, [main, 'version'], { encoding: 'utf8' });
  assert.equal([code, stdout], [0, `${version}\n`]);
  assert.is(spawnSync(process.execPath, [main, 'destroy']).status, 2);
});
program('on a terminal, lines wrap at its width', () => {
  const linesAt = (columns: number) => {
    const command = `stty cols ${columns}; ${process.execPath} ${main} status`;
    const { stdout } = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8' });
    return stdout.split('\n').length;
  };
  assert.ok(linesAt(45) > linesAt(300));
});
program('a reader that closes the pipe causes no error', () => {
  const { stderr } = spawnSync('bash', ['-c', '"$0" "$1" help | head -1', process.execPath, main], {
    encoding: 'utf8',
  });
  assert.is(stderr, '');
});
program.run();
