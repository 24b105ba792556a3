/** Tests the probes, which try the operations that mount options forbid, on real file systems. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemReader } from '../../agent/system/reader.ts';
import { inNamespace, reportOf, said } from '../harness/namespace.ts';
import { inDirectories } from '../harness/temporary.ts';

/** Starts the agent from its sources, whose compiled code is cached. */
const agent = [
  `--import=${path.join(import.meta.dirname, '../harness/compile-cache.mjs')}`,
  path.join(import.meta.dirname, '../../agent/main.ts'),
];
const probes = suite('probes');
/** The directories are on a file system without nodev, because the probes need working device nodes. */
const probesIn = inDirectories(probes);

for (const [options, expected] of [
  ['rw', { write: 'OK', exec: 'RAN', suid: 'HONOURED', device: 'OPENED' }],
  ['noexec,nosuid,nodev', { write: 'OK', exec: 'EACCES', suid: 'EACCES', device: 'EACCES' }],
  ['noexec', { write: 'OK', exec: 'EACCES', suid: 'EACCES', device: 'OPENED' }],
  ['nosuid', { write: 'OK', exec: 'RAN', suid: 'IGNORED', device: 'OPENED' }],
  ['nodev', { write: 'OK', exec: 'RAN', suid: 'HONOURED', device: 'EACCES' }],
  ['ro', { write: 'EROFS', exec: 'EROFS', suid: 'EROFS', device: 'mknod failed' }],
] as const) {
  probes(`a tmpfs with ${options}`, () => {
    const script = `mkdir /mnt/t; mount -t tmpfs -o mode=0755,${options} x /mnt/t; "$@" probe /mnt/t write exec suid device; ls -A /mnt/t`;
    const { stdout } = inNamespace(script);
    const lines = Object.entries(expected).map(([kind, answer]) => `${kind} ${answer}\n`);
    assert.is(stdout, lines.join(''));
  });
}

probes('a file system without unnamed files', () => {
  const script =
    'truncate -s 1m /mnt/image; mkfs.ext2 -q -F /mnt/image 2>/dev/null || exit 9; mkdir /mnt/t /mnt/lower /mnt/up; ' +
    'mount -o loop,noexec /mnt/image /mnt/t || exit 9; "$@" probe /mnt/t write exec; ls -A /mnt/t';
  const { stdout, code } = inNamespace(script);
  if (code === 9) return;
  assert.is(stdout, 'write OK\nexec EACCES\nlost+found\n');
});

probes('present: an existing folder, and a missing one', () => {
  assert.is(
    inNamespace('"$@" probe /mnt present; "$@" probe /mnt/no present').stdout,
    'present YES\npresent NO\n',
  );
});

probes('without no_new_privs only', () => {
  const script =
    'mkdir /mnt/t; mount -t tmpfs -o mode=0755 x /mnt/t; exec setpriv --no-new-privs "$@" probe /mnt/t suid';
  assert.is(inNamespace(script).stdout, 'suid NO_NEW_PRIVS\n');
});

probes('status --probe reports what was tried', () => {
  const script =
    'mount -t tmpfs -o noexec,nosuid,nodev x /home; mount -t tmpfs -o mode=0755 y /tmp; "$@" status --json --probe; ls -A /home /tmp >&2';
  const ran = inNamespace(script);
  const report = reportOf(ran);
  assert.is(said(report, 'exec-probe'), 'fail: the program ran');
  assert.is(said(report, 'suid-probe'), 'fail: the set-uid program ran as root');
  assert.is(said(report, 'device-probe'), 'fail: the device was opened');
  assert.is(ran.stderr.replaceAll(/\/(home|tmp):|\s/g, ''), '', 'nothing is left behind');
});

probes('status without --probe tries nothing', () => {
  assert.is(
    said(reportOf(inNamespace('"$@" status --json')), 'exec-probe'),
    'skip: not tried without --probe',
  );
});

probes('a probe removes the files of a killed probe, and nothing else', () => {
  const script =
    'cd /mnt; touch .immutafs-probe-4194305 .immutafs-probe-x other; mkdir .immutafs-probe-4194306; ' +
    'mknod .immutafs-probe-4194307 c 1 3; touch .immutafs-probe-$$; "$@" probe /mnt device; ls -A | sed s/$$/own/ | LC_ALL=C sort';
  assert.is(
    inNamespace(script).stdout,
    'device OPENED\n.immutafs-probe-4194306\n.immutafs-probe-own\n.immutafs-probe-x\nother\n',
  );
});

probes('names that another user has already taken do not block a probe', () => {
  const script =
    'mkdir /mnt/t; seq 1 3000 | sed "s|^|/mnt/t/.immutafs-probe-|" | xargs mkfifo -m 666; ' +
    'unshare --pid --fork --mount-proc timeout -s KILL 20 "$@" probe /mnt/t device';
  assert.is(inNamespace(script).stdout, 'device OPENED\n');
});

probes('the owner of the folder cannot make a probe open a file that replaces the node', () => {
  const script = `mkdir /mnt/t; chown 4242 /mnt/t; mkfifo -m 666 /mnt/fifo; "$@" probe /mnt/t device
(echo x >/mnt/fifo; : >/mnt/opened) >/dev/null 2>&1 & writer=$!
setpriv --reuid 4242 --clear-groups /usr/bin/python3 -c '
import os
os.chdir("/mnt/t")
while True:
    for name in os.listdir():
        try:
            os.symlink("/mnt/fifo", "link"); os.rename("link", name)
        except OSError:
            pass
' & swap=$!
trap 'kill $writer $swap' EXIT
for n in 1 2 3 4 5; do "$@" probe /mnt/t device; done; [ ! -e /mnt/opened ]`;
  const { stdout, stderr, code } = inNamespace(script);
  // mknod(1) sets the mode after it has made the node. It fails if the node has been replaced at that moment.
  const answers = /^device OPENED\n(device (OPENED|another file took its place|mknod failed|ENOENT)\n){5}$/;
  assert.match(stdout, answers, stdout + stderr);
  assert.is(code, 0, 'the FIFO was opened');
});

/** Starts Node once for each delay, in milliseconds, after which it receives the signal. */
async function interrupt(
  args: readonly string[],
  signal: NodeJS.Signals,
  [first, last, step]: readonly [number, number, number],
  ended: () => void = () => undefined,
): Promise<void> {
  for (let delay = first; delay < last; delay += step) {
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    const exit = once(child, 'exit');
    await sleep(delay);
    child.kill(signal);
    await exit;
    ended();
  }
}

probesIn('an agent that is killed at any moment leaves nothing', async (folder) => {
  const reader = systemReader({ self: [process.execPath, ...agent] });
  assert.equal(await reader.probe(['device'], folder), { device: 'OPENED' });
  const script = `import('${path.join(import.meta.dirname, '../../agent/system/reader.ts')}').then(({ systemReader }) =>
      systemReader({ self: ${JSON.stringify([process.execPath, ...agent])} }).probe(['device'], '${folder}'))`;
  const args = [...agent.slice(0, 1), '--input-type=module', '-e', script];
  await interrupt(args, 'SIGKILL', [40, 240, 20]);
  await sleep(1500);
  assert.equal(fs.readdirSync(folder), []);
});

probesIn('a probe that receives SIGTERM still removes its files', (folder) =>
  interrupt([...agent, 'probe', folder, 'exec', 'device'], 'SIGTERM', [60, 160, 20], () =>
    assert.equal(fs.readdirSync(folder), []),
  ),
);

probesIn('after a killed probe, the next probe leaves no files', async (folder) => {
  await interrupt([...agent, 'probe', folder, 'device'], 'SIGKILL', [50, 170, 10]);
  await sleep(300);
  spawnSync(process.execPath, [...agent, 'probe', folder, 'device']);
  assert.equal(fs.readdirSync(folder), []);
});

probes.run();
