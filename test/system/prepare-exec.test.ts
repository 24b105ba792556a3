/** Tests `prepare --only exec` with real processes, files and mounts, in a small system. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Step } from '../../agent/prepare/engine/step.ts';
import { plansOf } from '../harness/small-system.ts';

const exec = suite('prepare --only exec');

/** The mounts of this machine in the small system do not count as data disks if they are read-only. */
const prologue = `
  for own in /usr /media /dev/disk; do mount -o remount,bind,ro $own; done
  mkdir -p /var/lib/vendor /var/tmp /var/log /root
  copy() { cp /usr/bin/sleep "$1"; "$1" 300 & sleep 0.3; }
  exec_() { agent prepare --only exec "$@"; }`;
const run = (script: string) => plansOf(`${prologue}\n${script}`);

const short = (step: Step | undefined) => [
  step?.state,
  ...(step?.exec?.conflicts ?? []).map(({ option, target, file, by }) =>
    `${option} ${target} ${file} ${by.replace(/\(\d+\)/, '(PID)')}`.trim(),
  ),
];

exec('nothing runs from a writable mount: strict is proposed, written on request, and undone', () => {
  const { steps, printed } = run(`
    json exec
    exec_ --apply --yes --strict-mounts >/dev/null
    grep ^MOUNT_OPTIONS /etc/immutafs/immutafs.conf
    json exec
    agent prepare --undo >/dev/null
    ! grep ^MOUNT_OPTIONS /etc/immutafs/immutafs.conf`);
  assert.equal(steps.map(short), [['done'], ['done']], steps[0]?.why.join(' '));
  assert.is(steps[0]?.exec?.proposal, 'strict');
  assert.match(printed, /^MOUNT_OPTIONS=strict$/m);
});

exec('a program, a library and a script that run from /var, and those that an interpreter reads', () => {
  const { steps } = run(`
    copy /var/lib/vendor/agentd
    cp "$(ldconfig -p | sed -n 's/.*libz.so.1 .*=> //p' | head -n 1)" /var/lib/vendor/x.so
    LD_PRELOAD=/var/lib/vendor/x.so sleep 300 &
    printf '#!/bin/sh -e\\nsleep 300\\n:\\n' >/var/lib/vendor/backup.sh
    cp /var/lib/vendor/backup.sh /var/lib/vendor/read.sh
    chmod +x /var/lib/vendor/*.sh
    cd /var/lib; ./vendor/backup.sh & cd /
    sh /var/lib/vendor/read.sh &
    sleep 0.5; json exec`);
  assert.equal(short(steps[0]).toSorted(), [
    'done',
    'noexec /var /var/lib/vendor/agentd agentd (PID)',
    'noexec /var /var/lib/vendor/backup.sh backup.sh (PID)',
    'noexec /var /var/lib/vendor/x.so sleep (PID)',
  ]);
  assert.match(steps[0]?.exec?.proposal ?? '', / \/var:nosuid,nodev /);
});

exec('a program on /var/tmp, where the default sets noexec; deleted, it is named as well', () => {
  const { steps } = run('copy /var/tmp/x; json exec; rm /var/tmp/x; json exec');
  const expected = ['by hand', 'noexec /var/tmp /var/tmp/x x (PID)'];
  assert.equal(steps.map(short), [expected, expected]);
});

exec('an unlinked file, as libffi maps it for its closures, conflicts with the mount on which it is', () => {
  const { steps } = run(`
    map() { mkfifo /run/ready; python3 /media/test/harness/map-files.py "$1" >/run/ready & mapper=$!; read -r _ </run/ready; rm /run/ready; }
    map unlinked:/var/tmp; json exec; kill $mapper
    json exec`);
  assert.equal(steps.map(short), [['by hand', 'noexec /var/tmp /var/tmp/ffi000000 python3 (PID)'], ['done']]);
});

exec('a program with a path in /var in a mount namespace of its own is not in /var', () => {
  const { steps } = run(`
    unshare --mount sh -c 'mount -t tmpfs x /var/lib/vendor; cp /usr/bin/sleep /var/lib/vendor/x; exec /var/lib/vendor/x 300' &
    sleep 0.5; json exec`);
  assert.equal(steps.map(short), [['done']]);
});

exec(
  'set-user-ID programs and device files, also in a container store, a whiteout and a file that is only executable',
  () => {
    const { steps } = run(`
    cp /usr/bin/sleep /var/lib/vendor/unused
    cp /usr/bin/sleep /var/lib/vendor/suid; chmod 4755 /var/lib/vendor/suid
    mknod /var/lib/vendor/null c 1 3; mknod /var/lib/vendor/whiteout c 0 0
    mkdir -p /var/lib/containers; mknod /var/lib/containers/null c 1 3
    mknod /var/lib/containers/disk b 252 0; cp -p /var/lib/vendor/suid /var/lib/containers
    json exec`);
    assert.equal(short(steps[0]).toSorted(), [
      'done',
      'nodev /var /var/lib/vendor/null',
      'nosuid /var /var/lib/vendor/suid',
    ]);
  },
);

exec('what the shipped defaults and the sysctls of this kernel allow is written and undone', () => {
  const { printed } = run(`
    mkdir -p /etc/sysctl.d
    exec_ --close-bypasses --apply --yes >/run/said
    if [ -e /etc/sysctl.d/60-immutafs.conf ]; then
      stat -c '%a' /etc/sysctl.d/60-immutafs.conf; grep -c '^[a-z.]*_[a-z_]*=[0-9]$' /etc/sysctl.d/60-immutafs.conf
    else echo nothing is open; fi
    exec_ --close-bypasses | grep -c done
    agent prepare --undo >/dev/null; ! ls /etc/sysctl.d/60-immutafs.conf 2>/dev/null`);
  assert.match(printed, /^(644\n[1-4]|nothing is open)\n1\n/);
});

exec.run();
