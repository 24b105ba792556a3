/** The mounts of a session, on real mounts. test/vm/matrix/session.test.ts has sessions in a guest. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runInSandbox } from '../shell/sandbox.ts';

const folder = '/run/immutafs/sessions/1';
/** Lines of bash that run session-mounts, and print its exit code. */
const mounting = (...words: readonly string[]) =>
  `mkdir -p ${folder}/layers; /usr/libexec/immutafs/immutafs-boot session-mounts ${[folder, '8m', ...words].join(' ')}; echo $?`;

const run = (lines: string) => {
  const files = {
    'etc/x': 'disk\n',
    'opt/x': 'disk\n',
    'var/lib/rpm/x': 'disk\n',
    'var/lib/other/x': 'disk\n',
  };
  const { code, stdout, stderr } = runInSandbox({ shell: ['dash'], files, run: `set -f; ${lines}` });
  assert.is(code, 0, stderr);
  return { lines: stdout.trimEnd().split('\n'), stderr };
};

const overlays =
  "findmnt -rn -t overlay -o TARGET,OPTIONS | sed -n 's,^\\(/[^ ]*\\) .*upperdir=/run/immutafs.*,\\1,p'";

const session = suite('session-mounts');
session('without INSTALL: /etc alone is writable, and the layers are on a tmpfs of this size', () => {
  const found = run(`${mounting()}; ${overlays}; echo new >/etc/x
    cat ${folder}/layers/etc/upper/x; findmnt -n -o SIZE,OPTIONS ${folder}/layers | tr -s ' '`);
  assert.equal(found.lines.slice(0, 3), ['0', '/etc', 'new']);
  assert.match(found.lines[3] ?? '', /^ ?8M rw,nodev,relatime,size=8192k,mode=700/);
});
session('with INSTALL: also what package managers write to, if it exists and is no link', () => {
  const found = run(`mkdir -p /var/lib/dnf; ln -s dnf /var/lib/yum; ${mounting('install')}; ${overlays}`);
  assert.equal(found.lines, ['0', '/etc', '/usr', '/opt', '/var/lib/rpm', '/var/lib/dnf']);
});
session('owner, mode and access control lists of the directory stay', () => {
  const show = "stat -c '%a %u:%g' /opt; getfacl -cnp /opt | grep user:5";
  const found = run(
    `chown 3:4 /opt; chmod 2750 /opt; setfacl -m u:5:rx /opt; ${mounting('install')}; ${show}`,
  );
  assert.equal(found.lines, ['0', '2750 3:4', 'user:5:r-x']);
});
session(
  'mounts below stay: a writable one, a file, one in another; a read-only directory is writable',
  () => {
    const found = run(`mkdir -p /opt/rw /opt/ro /disk; echo disk >/disk/file; echo bound >/run/file
    mount -t tmpfs -o nosuid x /opt/rw; echo kept >/opt/rw/file; mkdir /opt/rw/in; mount -t tmpfs y /opt/rw/in; touch /opt/rw/in/z
    mount --bind /disk /opt/ro; mount -o remount,bind,ro /opt/ro
    mount --bind /run/file /etc/x; mount -o remount,bind,ro /etc/x
    ${mounting('install')}
    cat /opt/rw/file /etc/x; ls /opt/rw/in
    echo a >>/opt/rw/file; echo b >/opt/ro/file; echo c >/opt/new; echo d >/etc/new; (echo e >/etc/x) 2>/dev/null || echo refused
    cat ${folder}/layers/kept0/file /disk/file; findmnt -n -o VFS-OPTIONS /opt/rw | tail -n 1`);
    assert.equal(found.lines, [
      ...['0', 'kept', 'bound', 'z', 'refused'],
      ...['kept', 'a', 'disk', 'rw,nosuid,relatime'],
    ]);
  },
);
/** What semodule(8) does at its end: load_policy(8) writes the policy to this file of selinuxfs. Here, it is on a tmpfs. */
const loading = (...words: readonly string[]) => `mkdir -p /sys/fs/selinux; echo old >/sys/fs/selinux/load
  unshare --mount sh -c '${mounting(...words)}; cd /sys/fs/selinux; echo new >load; echo $?; : <load; echo $?' 2>&1
  cat /sys/fs/selinux/load; echo outside >/sys/fs/selinux/load`;
session('a program of the session cannot load a policy into the kernel, others can', () => {
  for (const words of [[], ['install']]) {
    const { lines } = run(loading(...words));
    assert.match(lines[1] ?? '', /load: Read-only file system$/);
    assert.equal([lines[0], ...lines.slice(2)], ['0', '2', '0', 'old']);
  }
});
session('with `load-policy`, it can', () => {
  for (const words of [['load-policy'], ['install', 'load-policy']])
    assert.equal(run(loading(...words)).lines, ['0', '0', '0', 'new']);
});
session('an unknown word is refused', () =>
  assert.match(run(mounting('loads')).stderr, /unknown word loads/),
);
session('a directory of the session that does not exist is reported', () => {
  const found = run(
    `rm -rf ${folder}; /usr/libexec/immutafs/immutafs-boot session-mounts ${folder} 8m install; echo $?; ${overlays}`,
  );
  assert.equal(found, {
    lines: ['3'],
    stderr: `immutafs-boot: ${folder}/layers does not exist\n`,
  });
});
session.run();
