/** Tests the agent with a file system whose server never answers. */
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inNamespace, reportOf, said } from '../harness/namespace.ts';

const hanging = suite('a file system that hangs');

/** Mounts a FUSE file system at /mnt/hang whose daemon reads no request. */
const hang = `
mkdir /mnt/hang /mnt/upper /mnt/work
python3 ${path.join(import.meta.dirname, '../harness/hang.py')} /mnt/hang & daemon=$!
trap 'kill -9 $daemon' EXIT
while ! grep -q /mnt/hang /proc/self/mountinfo; do sleep 0.05; done
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work conf /etc
mkdir -p /etc/immutafs /etc/sysconfig
`;
/** Runs a command and fails if it takes longer than 20 s, whatever the state of its process. */
const bounded = (command: string) => `
${command} >/mnt/out 2>/mnt/err & agent=$!
tries=0
while [ -d /proc/$agent ] && ! grep -q '^State:.Z' /proc/$agent/status; do
  tries=$((tries + 1))
  [ $tries -lt 200 ] || { echo 'no answer within 20 s' >&2; kill -9 $agent; exit 1; }
  sleep 0.1
done
cat /mnt/out
cat /mnt/err >&2
`;

const hangToo = `
python3 ${path.join(import.meta.dirname, '../harness/hang.py')} /etc/sysconfig & too=$!
trap 'kill -9 $daemon $too' EXIT
while ! grep -q ' /etc/sysconfig ' /proc/self/mountinfo; do sleep 0.05; done
`;

hanging('checks that need the file system are errors, the others work, and status ends in time', () => {
  const config =
    'MODE=sealed\\nREQUIRE_READONLY=/ /mnt/hang /mnt/hang/below\\nREQUIRE_OPTIONS=/mnt/hang:noexec,nodev /tmp:nodev\\n';
  const began = Date.now();
  const ran = inNamespace(
    `${hang} ${hangToo} printf '${config}' >/etc/immutafs/immutafs.conf; "$@" status --json --probe`,
  );
  const seconds = (Date.now() - began) / 1000;
  const report = reportOf(ran);
  assert.match(said(report, 'root-write-probe'), /error|fail/);
  assert.is(said(report, 'exec-probe'), 'error: /mnt/hang: no answer in time, the file system hangs');
  assert.is(
    said(report, 'rivals-off'),
    'error: /etc/sysconfig/readonly-root: not accessed, because fuse at /etc/sysconfig may hang',
  );
  assert.match(said(report, 'mtab-link'), /pass|fail/);
  assert.match(said(report, 'config-valid'), 'pass');
  assert.ok(seconds < 25, `${seconds} s`);
});

hanging('a hanging target is never treated as a missing target', () => {
  const config = 'MODE=sealed\\nREQUIRE_READONLY=/mnt/hang/below\\n';
  const ran = inNamespace(`${hang} printf '${config}' >/etc/immutafs/immutafs.conf; "$@" status --json`);
  const report = reportOf(ran);
  // The check also tries to write to this machine's /, which may be writable.
  const probe = report.checks.find(({ id }) => id === 'root-write-probe');
  assert.match(probe?.status ?? '', /^(error|fail)$/);
  assert.match(`${probe?.subject} ${probe?.observed}`, '/mnt/hang/below');
  assert.not.match(said(report, 'boot-readonly'), 'skip');
});

hanging('a link to the file system does not block status', () => {
  const script = `${hang}
rm -f /etc/os-release /etc/overlayroot.conf
# Not ln(1), which looks at what it links to.
python3 -c 'import os; [os.symlink("/mnt/hang/x", "/etc/" + n) for n in ("os-release", "overlayroot.conf")]'
echo MODE=sealed >/etc/immutafs/immutafs.conf
${bounded('"$@" status --json')}`;
  const ran = inNamespace(script);
  const report = reportOf(ran);
  assert.is(report.host.os, 'unknown');
  assert.is(
    said(report, 'rivals-off'),
    'error: /etc/overlayroot.conf: not accessed, because fuse at /mnt/hang may hang (reached through a symbolic link)',
  );
  assert.is(said(report, 'config-valid'), 'pass: valid');
});

hanging('a link to the file system below /dev/disk does not block status', () => {
  const folder = path.join(import.meta.dirname, '../harness/hang.py');
  const script = `${hang}
mkdir -p /dev/disk/by-label
python3 ${folder} /dev/disk/by-label & too=$!
trap 'kill -9 $daemon $too' EXIT
while ! grep -q by-label /proc/self/mountinfo; do sleep 0.05; done
echo 'LABEL=data /srv xfs ro 0 0' >/etc/fstab
echo MODE=sealed >/etc/immutafs/immutafs.conf
${bounded('"$@" status --json')}`;
  // Do not use the machine's own /dev.
  const ran = inNamespace(
    `mount -t tmpfs x /dev/disk 2>/dev/null || { mkdir /dev/disk; mount -t tmpfs x /dev/disk; }; ${script}`,
  );
  assert.is(
    said(reportOf(ran), 'fstab-consistent'),
    'error: /dev/disk/by-label/data: not accessed, because fuse at /dev/disk/by-label may hang',
  );
});

/** Mounts a file system on a loop device at /boot and freezes it with fsfreeze(8), so that a write waits in state D. */
const freeze = `
truncate -s 32m /mnt/image
mkfs.ext4 -q -F /mnt/image
mount -o loop /mnt/image /boot
trap 'fsfreeze -u /boot' EXIT
fsfreeze -f /boot
mkdir -p /mnt/upper /mnt/work
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work conf /etc
mkdir -p /etc/immutafs
printf 'MODE=sealed\\nREQUIRE_READONLY=/boot /proc\\nREQUIRE_OPTIONS=/boot:noexec,nodev\\n' >/etc/immutafs/immutafs.conf
`;

for (const [command, expected] of [
  ['status --json', 'skip: not tried without --probe'],
  ['status --json --probe', 'error: /boot: no answer in time, the file system hangs'],
] as const) {
  hanging(`a frozen /boot: ${command}`, () => {
    const run = () => {
      const began = Date.now();
      const script = `${freeze} ${bounded(`"$@" ${command}`)} ps -eo stat,args | grep '^D.*[ ]/boot' >&2 || true`;
      return { ...inNamespace(script), seconds: (Date.now() - began) / 1000 };
    };
    let { seconds, ...ran } = run();
    // On a busy machine, the child may be killed before it begins to write.
    for (let tries = 1; tries < 3 && !/^D/.test(ran.stderr); tries += 1) ({ seconds, ...ran } = run());
    const report = reportOf(ran);
    const probe = report.checks.find(({ id }) => id === 'root-write-probe');
    assert.match(`${probe?.status} ${probe?.observed}`, /^(error|fail) /);
    assert.is(said(report, 'exec-probe'), expected);
    assert.match(ran.stderr, /^D/, `no child was left behind in the state D: ${ran.stderr}`);
    assert.ok(seconds < 30, `${seconds} s`);
  });
}

hanging('a /boot that is not frozen is written to', () => {
  const ran = inNamespace(`${freeze} fsfreeze -u /boot; trap - EXIT; ${bounded('"$@" status --json')}`);
  const probe = reportOf(ran).checks.find(({ id }) => id === 'root-write-probe');
  assert.match(`${probe?.status} ${probe?.subject}`, /^fail .*\/boot/);
});

hanging.run();
