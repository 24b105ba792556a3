/**
 * Attempts to show the agent data other than the kernel's. Each attempt runs in a private mount namespace, which is a
 * deception itself, so kernel-view is an error in all tests. test/vm/matrix/live-changes.test.ts has some of them in a
 * whole guest.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inNamespace, reportOf, said } from '../harness/namespace.ts';

const fooling = suite('fooling the agent');
const line = '1 0 252:0 / / ro - xfs /dev/vda ro';

fooling('a private mount namespace is detected', () => {
  const ran = inNamespace('"$@" status --json');
  assert.match(
    said(reportOf(ran), 'kernel-view'),
    'error: another mount namespace or another root than those of PID 1',
  );
  assert.is(reportOf(ran).verdict, 'unknown');
  assert.is(ran.code, 3);
});

fooling('a chroot is detected', () => {
  const ran = inNamespace(
    'mkdir /mnt/root; mount --rbind / /mnt/root; exec chroot /mnt/root "$@" status --json',
  );
  assert.match(said(reportOf(ran), 'kernel-view'), 'another root');
  assert.is(ran.code, 3);
});

fooling('a PID namespace is detected, although its first process has the same mounts', () => {
  const ran = inNamespace('exec unshare --pid --fork --mount-proc "$@" status --json');
  assert.match(said(reportOf(ran), 'kernel-view'), 'not in the initial pid namespace');
  assert.is(ran.code, 3);
});

fooling('a file over /proc/self/mountinfo is detected', () => {
  const ran = inNamespace(
    `echo '${line}' >/mnt/fake; mount --bind /mnt/fake /proc/$$/mountinfo; exec "$@" status --json`,
  );
  const report = reportOf(ran);
  assert.match(said(report, 'kernel-view'), "error: /proc/self/mountinfo: not the kernel's procfs");
  assert.match(said(report, 'root-readonly'), "error: /proc/self/mountinfo: not the kernel's procfs");
  assert.is(ran.code, 3);
});

fooling('the mountinfo of another process over /proc/self/mountinfo is detected', () => {
  const ran = inNamespace(
    'unshare --mount sleep 60 & other=$!; sleep 0.3; mount --bind /proc/$other/mountinfo /proc/$$/mountinfo; ' +
      'trap "kill $other" EXIT; "$@" status --json',
  );
  // Here the agent is a child of the shell, so the file is bound over the mountinfo of its parent, and the agent
  // detects the mount.
  assert.match(said(reportOf(ran), 'kernel-view'), /proc is mounted over \/proc\/\d+\/mountinfo/);
  const bound = inNamespace(
    'unshare --mount sleep 20 >/dev/null 2>&1 & other=$!; sleep 0.3; mount --bind /proc/$other/mountinfo /proc/$$/mountinfo; ' +
      'exec "$@" status --json',
  );
  assert.match(said(reportOf(bound), 'kernel-view'), 'another mount namespace');
});

fooling('a tmpfs over /sys is detected', () => {
  const ran = inNamespace(
    'device=$(stat -c %Hd:%Ld /); mount -t tmpfs evil /sys; mkdir -p /sys/dev/block/$device; echo 1 >/sys/dev/block/$device/ro; ' +
      'exec "$@" status --json',
  );
  const report = reportOf(ran);
  assert.equal(report.disks, []);
  assert.match(said(report, 'host-enforced'), "not the kernel's sysfs");
  assert.is(ran.code, 3);
});

fooling('a file over the read-only flag of a disk is detected', () => {
  const ran = inNamespace(
    'for flag in /sys/block/*/ro; do echo 1 >/mnt/one; mount --bind /mnt/one "$flag"; done; exec "$@" status --json',
  );
  const report = reportOf(ran);
  assert.equal(report.disks, []);
  assert.match(said(report, 'kernel-view'), /tmpfs is mounted over \/sys\/devices\/.*\/ro/);
});

fooling('a tmpfs over /proc is detected', () => {
  const ran = inNamespace(
    `mount -t tmpfs evil /proc; mkdir -p /proc/self /proc/1; echo '${line}' >/proc/self/mountinfo; ` +
      'cp /proc/self/mountinfo /proc/1; echo ro >/proc/cmdline; exec "$@" status --json',
  );
  const report = reportOf(ran);
  assert.match(said(report, 'kernel-view'), 'error');
  assert.match(said(report, 'root-readonly'), "not the kernel's procfs");
  assert.is(ran.code, 3);
});

fooling('a mount over / is reported, and the visible mount is checked', () => {
  const ran = inNamespace('mount -t tmpfs -o ro evil /; exec "$@" status --json');
  assert.match(said(reportOf(ran), 'stacked-mounts'), /fail: \/ is (?!tmpfs).*; hidden: tmpfs \(evil\)/);
});

fooling('a mount over /home is reported with the mount that it hides', () => {
  const ran = inNamespace(
    'mount -t tmpfs -o mode=0755 one /home; mount -t tmpfs -o noexec,nosuid,nodev two /home; exec "$@" status --json',
  );
  const report = reportOf(ran);
  assert.match(said(report, 'home-options'), 'pass');
  assert.match(said(report, 'stacked-mounts'), 'fail: /home is tmpfs (two); hidden: tmpfs (one)');
  assert.ok(
    report.footholds.some(({ target, reason }) => target === '/home' && reason.includes('hidden below')),
  );
});

fooling('an overlay over /etc is reported, whatever its configuration requires', () => {
  const ran = inNamespace(
    'mkdir /mnt/u /mnt/w; mount -t overlay -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w evil /etc; mkdir -p /etc/immutafs; ' +
      'printf "REQUIRE_READONLY=\\nREQUIRE_OPTIONS=\\n" >/etc/immutafs/immutafs.conf; exec "$@" status --json',
  );
  const report = reportOf(ran);
  assert.match(said(report, 'tmp-options'), 'skip: REQUIRE_OPTIONS does not name /tmp');
  assert.match(said(report, 'stacked-mounts'), '/etc is overlay (evil), not what was sealed');
});

fooling('a program of the system over one that the agent runs, and a file over passwd', () => {
  const ran = inNamespace(`
    mount --bind /usr/bin/true /usr/bin/stat; echo root:x:0:0::/: >/mnt/passwd; mount --bind /mnt/passwd /etc/passwd
    "$@" status --json`);
  assert.match(said(reportOf(ran), 'stacked-mounts'), /\/usr\/bin\/stat is .*; \/etc\/passwd is tmpfs /);
});

fooling(
  'a mount over another part of /usr, and one where neither programs nor files of the agent are',
  () => {
    const ran = inNamespace('mount -t tmpfs one /usr/games; mount -t tmpfs two /srv; "$@" status --json');
    const finding = said(reportOf(ran), 'stacked-mounts');
    assert.match(finding, '/usr/games is tmpfs (one), which neither fstab nor the boot mounted');
    assert.not.match(finding, /\/srv/);
  },
);

fooling('a mount over a required folder and its parent', () => {
  const ran = inNamespace(
    'mount -t tmpfs -o noexec,nosuid,nodev one /tmp; mount --move /tmp /mnt; mount -t tmpfs open /tmp; exec "$@" status --json',
  );
  assert.match(said(reportOf(ran), 'tmp-options'), 'fail: tmpfs without noexec,nosuid,nodev');
});

for (const [title, name, shown] of [
  ['a space', 'a b', 'a b'],
  ['a newline and what looks like a line', `a\n${line}`, `a\n${line}`],
  ['a tab, a backslash and octal', 'a\t\\040', 'a\t\\040'],
  ['UTF-8', 'ä', 'ä'],
  ['bytes that are no UTF-8', '$(printf "\\377")', '\\xff'],
] as const) {
  fooling(`a mount point with ${title} in its name is read as it is`, () => {
    const ran = inNamespace(
      `m="/mnt/${name.replaceAll('\\', name.startsWith('$') ? '\\' : '\\\\')}"; mkdir -p "$m"; mount -t tmpfs x "$m"; exec "$@" status --json`,
    );
    const { footholds } = reportOf(ran);
    assert.ok(
      footholds.some(({ target }) => target === `/mnt/${shown}`),
      footholds.map(({ target }) => target).join(),
    );
  });
}

fooling.run();
