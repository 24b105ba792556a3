/**
 * The owner of a directory above a mount point exchanges the mount point with a symbolic link, all the time, while root
 * mounts on it or sets its options.
 */
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { persist } from '../harness/persist.ts';

const exchange = fs.readFileSync(path.join(import.meta.dirname, '../harness/exchange.py'), 'utf8');

/** Lines of bash that start the exchange as user 1000, with a link to /etc/profile.d, and define functions. */
const attack = (target: string) => `
cat >/run/exchange.py <<'PYTHON'
${exchange}PYTHON
chmod 755 /run
setpriv --reuid=1000 --regid=1000 --clear-groups python3 /run/exchange.py ${target} /etc/profile.d & attacker=$!
for n in $(seq 100); do [ ! -L ${target}.link ] && [ ! -L ${target} ] || break; sleep 0.1; done
outside=''
# umount(8) would follow the link.
undo() {
  kill -STOP $attacker
  state=''; until [ "$state" = T ]; do read -r _ _ state _ </proc/$attacker/stat; done
  while read -r _ _ _ _ place _; do
    case $place in ${target}*) umount "$place" ;; /etc/*) [ "$place" = "$outside" ] || echo "outside: $place" ;; esac
  done </proc/self/mountinfo
  kill -CONT $attacker
}
`;

const races = suite('mounts on a path of which a user owns a directory');

/** The user owns a kept directory, and PERSIST also has a directory in it. */
const inKept = {
  persist: '/var/lib/u /var/lib/u/in',
  disk: 'mkdir -p /var/lib/u/in /etc/profile.d; chown -R 1000:1000 /var/lib/u',
} as const;
const first = 'keep /var/lib/u; keep /var/lib/u/in; umount /var/lib/u/in';

races('PERSIST: never mounts elsewhere', () => {
  const { stdout, stderr } = persist({
    ...inKept,
    run: `${first}; ${attack('/var/lib/u/in')}
      for n in $(seq 25); do
        keep /var/lib/u/in 2>>/run/errors && echo kept; undo
      done | sort -u
      kill $attacker; grep -c 'is a symbolic link' /run/errors >&2`,
  });
  assert.is(stdout, 'kept\n');
  assert.ok(Number(stderr.trim().split('\n').at(-1)) > 0, 'the link was never there');
});

races('PERSIST: without an attack, the path is kept, and with a link of another boot, it is refused', () => {
  const { made, records, stdout } = persist({
    ...inKept,
    run: `${first}; keep /var/lib/u/in; echo $?; umount /var/lib/u/in
      mv /var/lib/u/in /var/lib/u/old; ln -s /etc/profile.d /var/lib/u/in; keep /var/lib/u/in 2>/dev/null; echo $?`,
  });
  assert.is(stdout, '0\n1\n');
  assert.equal(made, ['/var/lib/u /store/var=lib=u rw,nosuid,nodev,noexec']);
  assert.match(records['var=lib=u=in'] ?? '', 'REASON=/var/lib/u/in is a symbolic link');
});

/**
 * Lines of bash that define `mounts CALL CHANGE`: stops immutafs-boot when it has made a system call, makes the change, lets it
 * continue, and prints its exit code, the recorded reason, and the path on which the directory is mounted.
 */
const stopping = (inject: string) => `
keep /var/lib/u; keep /var/lib/u/p/in; umount /var/lib/u/p/in
mounts() {
  strace -qq -o /run/trace ${inject} -e "inject=$1:signal=SIGSTOP:when=1" \\
    /usr/libexec/immutafs/immutafs-boot persist-path /var/lib/u/p/in 2>/run/error & tracer=$!
  until grep -q 'stopped by SIGSTOP' /run/trace 2>/dev/null; do sleep 0.05; done
  eval "$2"
  kill -CONT "$(pgrep -P $tracer)"; wait $tracer
  echo "$?" $(sed -n 's/^REASON=//p' '/run/immutafs/persisted/var=lib=u=p=in') $(findmnt -rn -o TARGET | grep /lib/u/)
}`;
const replaced = '1 /var/lib/u/p/in was replaced while it was mounted';

for (const [title, inject, before] of [
  ['the system calls of this kernel', '', 'open_tree'],
  ['those of Linux 3.10', '-e inject=open_tree:error=ENOSYS', 'mkdir'],
] as const) {
  const run = (call: string, change: string) => {
    const { stdout } = persist({
      persist: '/var/lib/u /var/lib/u/p/in',
      disk: 'mkdir -p /var/lib/u/p/in; chown -R 1000:1000 /var/lib/u',
      run: `${stopping(inject)}\nmounts ${call} '${change}'`,
    });
    return stdout.trim();
  };
  races(`a directory that is exchanged before the mount is reported, with ${title}`, () => {
    const change = 'mv /var/lib/u/p/in /var/lib/u/p/out; mkdir /var/lib/u/p/in';
    assert.is(run(before, change), `${replaced} /var/lib/u/p/out`);
  });
  races(`a directory above that is exchanged after the mount is reported, with ${title}`, () => {
    const change = 'mv /var/lib/u/p /var/lib/u/q; mkdir -p /var/lib/u/p/in';
    assert.is(run(inject === '' ? 'move_mount' : 'rmdir', change), `${replaced} /var/lib/u/q/in`);
  });
  races(`a directory that stays in its place is mounted, with ${title}`, () => {
    assert.is(run(before, ':'), '0 /var/lib/u/p/in');
  });
}

for (const [title, syscalls] of [
  ['the system calls of this kernel', ''],
  ['those of Linux 3.10', 'strace -qq -o /dev/null -e inject=open_tree:error=ENOSYS '],
]) {
  races(`MOUNT_OPTIONS: never sets options of the target of a link, with ${title}`, () => {
    const { stdout } = persist({
      ...inKept,
      run: `keep /var/lib/u; mount --bind /etc/profile.d /etc/profile.d; ${attack('/var/lib/u/in')}
        options() { findmnt -rn -o VFS-OPTIONS /etc/profile.d; }
        before=$(options) outside=/etc/profile.d
        for n in $(seq 50); do
          ${syscalls}/usr/libexec/immutafs/immutafs-boot options noexec /var/lib/u/in 2>/dev/null && echo set || echo refused
          [ "$before" = "$(options)" ] || echo "outside: $(options)"; undo
        done | sort -u
        kill $attacker`,
    });
    assert.is(stdout, 'refused\nset\n');
  });
}

races('MOUNT_OPTIONS: a link to /usr is refused, and a directory gets the options', () => {
  const { stdout, stderr } = persist({
    ...inKept,
    run: `ln -s /usr /var/lib/link; set() { /usr/libexec/immutafs/immutafs-boot options noexec "$1"; echo $?; }
      set /var/lib/link; set /var/lib/link/bin; set /var/lib/x; findmnt -rn -o VFS-OPTIONS /var/lib/x; /usr/bin/true && echo runs`,
  });
  assert.is(stdout, '3\n3\n0\nrw,nosuid,nodev,noexec,relatime\nruns\n');
  assert.is(stderr, 'immutafs-boot: /var/lib/link is a symbolic link\n'.repeat(2));
});
races.run();
