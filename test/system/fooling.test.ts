/**
 * Attempts to show the agent data other than the kernel's. Each attempt runs in a private mount namespace, which is a
 * deception itself, so kernel-view is an error in all tests. prepare-elsewhere.test.ts has other namespaces and chroots.
 * test/vm/matrix/live-changes.test.ts has some of the attempts in a whole guest.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inNamespace, reportOf, said } from '../harness/namespace.ts';

const fooling = suite('fooling the agent');
const line = '1 0 252:0 / / ro - xfs /dev/vda ro';

/** What is done before the agent starts, and a part of what checks find. The agent cannot tell, and exits with 3. */
const attempts: [title: string, script: string, findings: Record<string, string | RegExp>][] = [
  [
    'a private mount namespace',
    'exec',
    { 'kernel-view': 'error: another mount namespace or another root than those of PID 1' },
  ],
  [
    'a file over /proc/self/mountinfo',
    `echo '${line}' >/mnt/fake; mount --bind /mnt/fake /proc/$$/mountinfo; exec`,
    {
      'kernel-view': "error: /proc/self/mountinfo: not the kernel's procfs",
      'root-readonly': "error: /proc/self/mountinfo: not the kernel's procfs",
    },
  ],
  // The agent is a child of the shell, so the file is bound over the mountinfo of its parent.
  [
    'the mountinfo of another process over that of the parent',
    'unshare --mount sleep 60 & other=$!; sleep 0.3; mount --bind /proc/$other/mountinfo /proc/$$/mountinfo; trap "kill $other" EXIT;',
    { 'kernel-view': /proc is mounted over \/proc\/\d+\/mountinfo/ },
  ],
  [
    'the mountinfo of another process over /proc/self/mountinfo',
    'unshare --mount sleep 20 >/dev/null 2>&1 & other=$!; sleep 0.3; mount --bind /proc/$other/mountinfo /proc/$$/mountinfo; exec',
    { 'kernel-view': 'another mount namespace' },
  ],
  [
    'a tmpfs over /proc',
    `mount -t tmpfs evil /proc; mkdir -p /proc/self /proc/1; echo '${line}' >/proc/self/mountinfo; cp /proc/self/mountinfo /proc/1; echo ro >/proc/cmdline; exec`,
    { 'kernel-view': 'error', 'root-readonly': "not the kernel's procfs" },
  ],
  [
    'a mount over /: the visible mount is checked',
    'mount -t tmpfs -o ro evil /; exec',
    { 'stacked-mounts': /fail: \/ is (?!tmpfs).*; hidden: tmpfs \(evil\)/ },
  ],
  [
    'an overlay over /etc, whatever its configuration requires',
    `mkdir /mnt/u /mnt/w; mount -t overlay -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w evil /etc; mkdir -p /etc/immutafs
    printf "REQUIRE_READONLY=\\nREQUIRE_OPTIONS=\\n" >/etc/immutafs/immutafs.conf; exec`,
    {
      'tmp-options': 'skip: REQUIRE_OPTIONS does not name /tmp',
      'stacked-mounts': '/etc is overlay (evil), not what was sealed',
    },
  ],
  [
    'a program of the system over one that the agent runs, and a file over passwd',
    'mount --bind /usr/bin/true /usr/bin/stat; echo root:x:0:0::/: >/mnt/passwd; mount --bind /mnt/passwd /etc/passwd;',
    { 'stacked-mounts': /\/usr\/bin\/stat is .*; \/etc\/passwd is tmpfs / },
  ],
  [
    'a mount over another part of /usr, and one where neither programs nor files of the agent are',
    'mount -t tmpfs one /usr/games; mount -t tmpfs two /srv;',
    {
      'stacked-mounts':
        /^(?!.*\/srv).*\/usr\/games is tmpfs \(one\), which neither fstab nor the boot mounted/s,
    },
  ],
  [
    'a mount over a required folder and its parent',
    'mount -t tmpfs -o noexec,nosuid,nodev one /tmp; mount --move /tmp /mnt; mount -t tmpfs open /tmp; exec',
    { 'tmp-options': 'fail: tmpfs without noexec,nosuid,nodev' },
  ],
];
for (const [title, script, findings] of attempts) {
  fooling(title, () => {
    const ran = inNamespace(`${script} "$@" status --json`);
    const report = reportOf(ran);
    for (const [id, text] of Object.entries(findings)) assert.match(said(report, id), text);
    assert.equal([report.verdict, ran.code], ['unknown', 3]);
  });
}

for (const [title, script, id, text] of [
  [
    'a tmpfs over /sys',
    'device=$(stat -c %Hd:%Ld /); mount -t tmpfs evil /sys; mkdir -p /sys/dev/block/$device; echo 1 >/sys/dev/block/$device/ro',
    ...(['host-enforced', "not the kernel's sysfs"] as const),
  ],
  [
    'a file over the read-only flag of a disk',
    'for flag in /sys/block/*/ro; do echo 1 >/mnt/one; mount --bind /mnt/one "$flag"; done',
    ...(['kernel-view', /tmpfs is mounted over \/sys\/devices\/.*\/ro/] as const),
  ],
] as const) {
  fooling(`${title}: no disk is known`, () => {
    const ran = inNamespace(`${script}; exec "$@" status --json`);
    const report = reportOf(ran);
    assert.equal([report.disks, ran.code], [[], 3]);
    assert.match(said(report, id), text);
  });
}

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
