/**
 * immutafs-boot keeps the paths of PERSIST, with real mounts and disks. What it accepts is tested in Node
 * (test/unit/boot/persist.test.ts, test/unit/facts/boot/kept-paths.test.ts).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Guest, persist } from '../harness/persist.ts';

const keptRecord = 'STATE=kept\nREASON=\nREMEDY=\n';
const kept = { 'var=lib=x': keptRecord };

const mounts = suite('persist-path');
for (const mode of ['sealed', 'maintenance'] as const) {
  mounts(`${mode}: the disk's content is copied once, and the mount is of the store from then on`, () => {
    const { stdout, stderr, records, made } = persist({
      mode,
      run: `keep /var/lib/x; echo $?; cat /var/lib/x/*
        echo new >/var/lib/x/renamed; mv /var/lib/x/renamed /var/lib/x/file
        umount /var/lib/x; cat /var/lib/x/file; keep /var/lib/x; echo $?; cat /var/lib/x/*
        keep /var/lib/x; check /var/lib/x; stat -c '%a %u' /data/store; ls -A /data/store /run/immutafs`,
    });
    const run = mode === 'sealed' ? 'lower\npersisted' : 'persisted';
    assert.is(stdout, `0\ndisk\ndisk\n0\nnew\n700 0\n/data/store:\nvar=lib=x\n\n/run/immutafs:\n${run}\n`);
    assert.equal({ stderr, records }, { stderr: '', records: kept });
    assert.equal(made, ['/var/lib/x /store/var=lib=x rw,nosuid,nodev,noexec']);
  });
  mounts(`${mode}: a directory below another one, in any order of PERSIST`, () => {
    const found = persist({
      mode,
      persist: '/var/lib/x/in:exec /var/lib/x',
      disk: 'mkdir /var/lib/x/in; echo inner >/var/lib/x/in/file',
      run: `keep /var/lib/x; keep /var/lib/x/in; cat /var/lib/x/in/file; ls /data/store
        ls /data/store/var=lib=x/in; ls -d /run/immutafs/persist-view* 2>/dev/null`,
    });
    assert.is(found.stdout, 'inner\nvar=lib=x\nvar=lib=x=in\nfile\n', found.stderr);
    assert.equal(found.made, [
      '/var/lib/x /store/var=lib=x rw,nosuid,nodev,noexec',
      '/var/lib/x/in /store/var=lib=x=in rw,nosuid,nodev',
    ]);
  });
  mounts(`${mode}: a directory that the kept directory above it lacks, although the disk has it`, () => {
    const { stdout, records } = persist({
      mode,
      persist: '/var/lib/x /var/lib/x/in',
      disk: 'mkdir /var/lib/x/in',
      run: 'keep /var/lib/x; rmdir /var/lib/x/in; keep /var/lib/x/in 2>/dev/null; echo $?; ls /run/immutafs | grep view',
    });
    assert.is(stdout, '1\n');
    assert.match(
      records['var=lib=x=in'] ?? '',
      'REASON=/var/lib/x/in does not exist in the kept directory above it\nREMEDY=mkdir /var/lib/x/in\n',
    );
  });
}
mounts('a path that PERSIST does not name is checked with given options', () => {
  const { stdout } = persist({
    disk: 'mkdir /var/lib/y /etc/y',
    run: `check /var/lib/y || :; check /var/lib/y ''; echo $?; check /etc/y '' || :; check /etc/y autostart; echo $?`,
  });
  assert.match(
    stdout,
    /^REASON=PERSIST does not name this path\nREMEDY=[^\n]*\n0\nREASON=\/etc [^\n]*\nREMEDY=[^\n]*\n0\n$/,
  );
});
mounts('a directory whose content was moved to the store is not copied into a store without it', () => {
  for (const [disk, isKept] of [
    ['mkdir /var/lib/x/moved-by-immutafs-agent', false],
    ['mkdir /var/lib/x/moved', true],
  ] as const) {
    const { records, made } = persist({ disk, run: 'keep /var/lib/x; ls /data/store' });
    assert.is(made.length, isKept ? 1 : 0);
    const reason = 'STATE=failed\nREASON=its content was moved to /data/store/var=lib=x,';
    assert.match(records['var=lib=x'] ?? '', isKept ? 'STATE=kept' : reason);
  }
});
mounts('a path at or below a directory that MOUNT_OPTIONS has bound to itself', () => {
  for (const [path, mode] of [
    ['/var/log/app', 'sealed'],
    ['/srv', 'maintenance'],
  ] as const) {
    const bound = mode === 'sealed' ? '/var/log' : '/srv';
    const { records, made, stdout, stderr } = persist({
      mode,
      persist: `${path}:autostart,maintenance`,
      disk: `mkdir -p ${path}; echo disk >${path}/file`,
      run: `/usr/libexec/immutafs/immutafs-boot options noexec,nosuid,nodev ${bound}; keep ${path}; cat ${path}/file`,
    });
    assert.is(stdout, 'disk\n', stderr);
    const name = path.slice(1).replaceAll('/', '=');
    assert.match(records[name] ?? '', /^STATE=kept\n/, path);
    assert.ok(made.includes(`${path} /store/${name} rw,nosuid,nodev,noexec`), made.join('\n'));
  }
});
mounts('the options of a path loosen its mount', () => {
  const found = persist({
    persist: '/var/lib/x:exec /var/lib/y:suid,dev,exec /var/lib/x',
    disk: 'mkdir /var/lib/y',
    run: 'keep /var/lib/x; keep /var/lib/y',
  });
  assert.equal(found.made, ['/var/lib/x /store/var=lib=x rw,nosuid,nodev', '/var/lib/y /store/var=lib=y rw']);
});
mounts(
  'a path with autostart is not mounted while the system disk is writable, whoever starts its service',
  () => {
    for (const [env, isMounted] of [
      ['MODE=maintenance', false],
      ['MODE=sealed\nREHEARSAL=900', false],
      ['MODE=sealed', true],
    ] as const) {
      const { made, stdout, records } = persist({
        mode: 'maintenance',
        persist: '/etc/x:autostart',
        disk: 'mkdir /etc/x',
        run: `mkdir -p /run/immutafs; printf '${env}\n' >/run/immutafs/boot.env; check /etc/x; keep /etc/x`,
      });
      assert.is(made.length, isMounted ? 1 : 0, env);
      assert.match(
        records['etc=x'] ?? '',
        isMounted ? 'STATE=kept\n' : 'the system disk is writable in this boot\n',
      );
      // It would be kept in a sealed boot, so that nothing prevents the guest from being sealed.
      assert.is(stdout, '');
    }
  },
);
mounts('a kernel without the new system calls for mounts', () => {
  const { made, stdout } = persist({
    run: `strace -f -qq -o /dev/null -e inject=open_tree:error=ENOSYS /usr/libexec/immutafs/immutafs-boot persist-path /var/lib/x
      ls -A /run/immutafs`,
  });
  assert.equal(made, ['/var/lib/x /store/var=lib=x rw,nosuid,nodev,noexec']);
  assert.is(stdout, 'lower\npersisted\n');
});
mounts.run();

const store = suite('persist-path: a hostile store');
store('what it contains is neither followed nor opened', () => {
  const { stdout } = persist({
    before: `mkdir -m 700 /data/store; cd /data/store; mkdir -p seeding:var=lib=x/deep
      mkfifo seeding:var=lib=x/fifo; ln -s /etc seeding:var=lib=x/deep/etc`,
    run: 'keep /var/lib/x; echo $?; ls /data/store /var/lib/x; ls /etc',
  });
  assert.is(stdout, '0\n/data/store:\nvar=lib=x\n\n/var/lib/x:\nfile\nfstab\nimmutafs\n');
  const link = persist({
    mode: 'maintenance',
    before: 'mkdir -m 700 /data/store; ln -s /etc /data/store/seeding:var=lib=x',
    run: 'keep /var/lib/x; echo $?; ls /data/store /etc',
  });
  assert.is(link.stdout, '0\n/data/store:\nvar=lib=x\n\n/etc:\nfstab\nimmutafs\n');
});
store('a directory in a kept directory that became a symbolic link: no mount elsewhere', () => {
  const { stdout, records, made } = persist({
    persist: '/var/lib/x /var/lib/x/in',
    disk: 'mkdir /var/lib/x/in',
    before: 'mkdir -m 700 /data/store; mkdir -p /data/store/var=lib=x; ln -s /etc /data/store/var=lib=x/in',
    run: 'keep /var/lib/x; keep /var/lib/x/in 2>/dev/null; echo $?; ls /data/store',
  });
  assert.is(stdout, '1\nvar=lib=x\n');
  assert.match(records['var=lib=x=in'] ?? '', 'REASON=/var/lib/x/in is a symbolic link');
  assert.equal(made, ['/var/lib/x /store/var=lib=x rw,nosuid,nodev,noexec']);
});
store('owner and mode of the directory in the store are reset to those on the disk', () => {
  const { stdout, records } = persist({
    disk: 'chown 12:34 /var/lib/x; chmod 2750 /var/lib/x',
    run: `keep /var/lib/x; umount /var/lib/x; chown 7:8 /data/store/var=lib=x; chmod 777 /data/store/var=lib=x
      keep /var/lib/x; stat -c '%u:%g %a' /var/lib/x`,
  });
  assert.is(stdout, '12:34 2750\n');
  assert.match(
    records['var=lib=x'] ?? '',
    'STATE=kept\nREASON=/data/store/var=lib=x had 7:8 2777 and was reset to 12:34 2750, as on the disk\n',
  );
});
store('the access control lists of the directory in the store are reset to those on the disk', () => {
  const lists = 'getfacl -pn --omit-header /var/lib/x; stat -c %a /var/lib/x';
  for (const [onDisk, inStore] of [
    ['true', 'setfacl -m u:4242:rwx,d:u:4242:rwx,m::rwx'],
    ['setfacl -m u:12:rx,d:u:12:rwx /var/lib/x', 'setfacl -b'],
    ['setfacl -m u:12:rx /var/lib/x; chmod 750 /var/lib/x', 'setfacl -m u:12:rwx'],
  ] as const) {
    const { stdout, stderr, records } = persist({
      disk: onDisk,
      run: `{ ${lists}; } >/run/disk; keep /var/lib/x; { ${lists}; } | diff /run/disk -; cat /run/immutafs/persisted/*
        umount /var/lib/x; ${inStore} /data/store/var=lib=x; getfacl -pn /data/store/var=lib=x | diff -q /run/disk - >&2
        keep /var/lib/x; { ${lists}; } | diff /run/disk -; touch /var/lib/x/new; getfacl -pcn /var/lib/x/new >/run/new
        ! grep -E '^(user:4242|group:77)' /run/new`,
    });
    assert.is(stdout, keptRecord, `${inStore}: ${stderr}`);
    assert.match(records['var=lib=x'] ?? '', /^STATE=kept\nREASON=.*other access control lists/, inStore);
  }
});
for (const [title, reason, given] of [
  ['no disk', 'the file system of PERSIST_STORE at /data is not mounted', { data: null }],
  ['a loop device', '/data (ext4) is not on a disk', { dataOn: 'none' }],
  ['a read-only disk', 'the disk vdc of /data is read-only', { dataOn: 'vdc' }],
  ['a link', '/data/store is a symbolic link', { before: 'mkdir -m 700 /data/real; ln -s real /data/store' }],
] as const satisfies readonly (readonly [string, string, Partial<Guest>])[]) {
  store(`${title}: nothing is mounted or created`, () => {
    const { stdout, records, made } = persist({
      ...given,
      run: `list() { find /data -printf '%p %y %m %u\\n' | sort; }; list >/run/a
        keep /var/lib/x 2>/dev/null; echo $?; list | diff /run/a - && check /var/lib/x`,
    });
    const record = records['var=lib=x'] ?? '';
    assert.ok(record.startsWith(`STATE=failed\nREASON=${reason}`), record);
    assert.is(stdout, `1\n${record.replace(/^STATE.*\n/, '')}`);
    assert.equal(made, []);
  });
}
for (const [title, on, before, reason] of [
  ['a system disk that is not under the root', '252:32', '', undefined],
  ['another writable disk', '252:48', '', '/srv/x is on the writable disk vdd and kept already'],
  [
    'a system disk in maintenance, whose copy is in the store',
    '252:48',
    'mkdir -m 700 /data/store; mkdir /data/store/srv=x',
    undefined,
  ],
] as const) {
  /** A second data disk on /srv. */
  const third = `truncate -s 8m /run/third; mkfs.ext4 -q /run/third; umount /sys; mount -t sysfs sys /sys
    mount -o loop /run/third /srv; umount /sys; mkdir -p /run/sys/dev/block /run/sys/class/block /run/sys/d
    cp -R /run/fixture/. /run/sys; mount --bind /run/sys /sys
    ln -s "$(readlink "/sys/dev/block/${on}")" "/sys/dev/block/$(mountpoint -d /srv)"; mkdir /srv/x; : >/srv/x/file`;
  store(`${title}: ${reason === undefined ? 'kept' : 'refused'}`, () => {
    const { records, made } = persist({
      persist: '/srv/x',
      disk: 'mkdir /srv',
      before: `cp -R /sys /run/fixture; ${third}\n${before}`,
      run: 'keep /srv/x 2>/dev/null',
    });
    assert.match(records['srv=x'] ?? '', reason ?? 'STATE=kept');
    assert.is(made.length, reason === undefined ? 1 : 0);
  });
}
store.run();

const copy = suite('persist-path: the copy');
/** Prints everything about a directory that a copy must preserve. Run it in the directory. */
const picture = `find . -printf '%p %y %m %U:%G %s %n %T@ %l\\n' | sort
  find . -type f | sort | xargs md5sum; find . | sort | xargs getfattr -hdm -; find . ! -type l | sort | xargs getfacl -pn; find . -type f | sort | xargs stat -c '%n %b'`;
copy('labels, ACLs, capabilities, hard links, holes, links, FIFOs and times are those of the disk', () => {
  const { stdout, stderr } = persist({
    disk: `cd /var/lib/x; chown 12:34 .; chmod 2750 .; mkdir sub; ln file sub/hard; ln -s /etc/passwd link; mkfifo fifo
      truncate -s 1m sparse; printf x | dd of=sparse bs=1 seek=500000 conv=notrunc status=none
      cp /usr/bin/true program; setcap cap_net_raw+ep program; chmod 4755 file
      setfacl -m u:4242:rx,d:g:77:rwx sub; setfattr -n user.a -v b file
      setfattr -n security.selinux -v system_u:object_r:cert_t:s0 program
      touch -d '2001-02-03 04:05:06.7' sub/hard sub .`,
    run: `cd /run/immutafs/lower/lib/x; { ${picture}; } >/run/disk; cd /; keep /var/lib/x; cd /var/lib/x
      { ${picture}; } >/run/kept; diff /run/disk /run/kept && echo same; wc -l </run/disk; getcap program; stat -c %b sparse
      touch new; { ${picture}; } | diff -q /run/disk -`,
  });
  assert.is(stderr, '');
  assert.match(stdout, /^same\n\d\d\nprogram cap_net_raw=ep\n\d\nFiles \/run\/disk and - differ\n$/);
});
for (const [cut, left] of [
  ['cp before 1', ''],
  ['cp after 1', 'seeding:var=lib=x\n'],
  ['sync before 1', 'seeding:var=lib=x\n'],
  ['sync after 1', 'seeding:var=lib=x\n'],
  ['rename before 1', 'seeding:var=lib=x\n'],
  ['rename after 1', 'var=lib=x\n'],
  ['sync before 2', 'var=lib=x\n'],
  ['sync after 2', 'var=lib=x\n'],
] as const) {
  copy(`stopped ${cut}: nothing or all is left, and the next boot keeps the path`, () => {
    const { stdout, records } = persist({
      run: `echo ${cut} >/run/cut; keep /var/lib/x; echo $?; rm /run/cut; ls /data/store; cat /run/immutafs/persisted/*
        findmnt /var/lib/x; keep /var/lib/x; echo $?; ls /data/store /var/lib/x; cat /var/lib/x/file`,
    });
    const begun = 'STATE=begun\nREASON=\nREMEDY=\n';
    assert.is(stdout, `9\n${left}${begun}0\n/data/store:\nvar=lib=x\n\n/var/lib/x:\nfile\ndisk\n`);
    assert.equal(records, kept);
  });
}
copy('killed in the middle of the copy: half of it is removed at the next boot', () => {
  const { stdout, records } = persist({
    run: `replace cp 'mkdir "\${@: -1}"; echo half >"\${@: -1}/half"; kill -9 $PPID'; (keep /var/lib/x) 2>/dev/null; ls /data/store/*
      mv /usr/bin/cp.real /usr/bin/cp; keep /var/lib/x; ls /data/store /var/lib/x`,
  });
  assert.is(stdout, 'half\n/data/store:\nvar=lib=x\n\n/var/lib/x:\nfile\n');
  assert.equal(records, kept);
});
copy('a copy that fails, or takes too long, is removed, with the reason', () => {
  for (const [lines, reason] of [
    [`replace cp '$0.real "$@"; echo "cp: no space" >&2; exit 1'`, 'cp failed: cp: no space'],
    [`echo 1 >/run/seconds; replace cp '$0.real "$@"; exec sleep 30'`, 'cp took more than 300 s'],
    [`replace du 'exit 1'`, 'the size of /var/lib/x could not be determined in 60 s'],
  ]) {
    const { stdout, records } = persist({
      run: `${lines}; keep /var/lib/x 2>/dev/null; echo $?; ls /data/store; findmnt /var/lib/x; ls /var/lib/x`,
    });
    assert.is(stdout, '1\nfile\nof-this-boot\n');
    assert.ok(
      records['var=lib=x']?.startsWith(`STATE=failed\nREASON=${reason}\nREMEDY=`),
      records['var=lib=x'],
    );
  }
});
copy('space and inodes are checked before the copy', () => {
  const { stdout, records } = persist({
    persist: '/var/lib/x /var/lib/many /var/lib/big',
    dataMiB: 8,
    disk: `mkdir /var/lib/many /var/lib/big; head -c 7m /dev/urandom >/var/lib/big/file
      for n in $(seq 3000); do ln -s x /var/lib/many/$n; done`,
    run: 'for path in big many x; do keep /var/lib/$path 2>/dev/null; echo $?; done; ls /data/store',
  });
  assert.is(stdout, '1\n1\n0\nvar=lib=x\n');
  assert.match(records['var=lib=big'] ?? '', /REASON=the copy needs \d+ KiB, and \/data has \d+ KiB free\n/);
  assert.match(
    records['var=lib=many'] ?? '',
    /REASON=the copy has 3001 files, and \/data has \d+ inodes free/,
  );
});
copy.run();

const paths = '/var/lib/x /var/lib/y:exec';
const disk = 'mkdir /var/lib/y; chown 3:4 /var/lib/y; chmod 2750 /var/lib/y; echo y >/var/lib/y/file';
const made = (...further: string[]) => [
  '/var/lib/x /store/var=lib=x rw,nosuid,nodev,noexec',
  '/var/lib/y /store/var=lib=y rw,nosuid,nodev',
  ...further,
];
const restart = (...names: string[]) =>
  names.map((name) => `restart immutafs-persist@${name}.service\n`).join('');
/** Unmounts the paths and forgets the results, as a reboot does. */
const reboot = 'umount -R /var/lib/x /var/lib/y; rm -r /run/immutafs/persisted /run/systemctl\n';
const restarted = 'cat /run/systemctl 2>/dev/null';
const all = { 'var=lib=x': keptRecord, 'var=lib=y': keptRecord };

const boot = suite('persist');
for (const mode of ['sealed', 'maintenance'] as const) {
  boot(
    `${mode}: at the first use, by the service of each path; then without these services, with one process`,
    () => {
      const { stdout, stderr, records, ...found } = persist({
        ...{ mode, persist: paths, disk },
        run: `keep; echo $?; ${restarted}; ${reboot} first=$(sh -c 'echo $$'); keep; last=$(sh -c 'echo $$')
        echo $((last - first - 1)); ${restarted}; cat /var/lib/*/file; ls -A /run/immutafs`,
      });
      const run = mode === 'sealed' ? 'lower\npersisted\n' : 'persisted\n';
      assert.is(stdout, `0\n${restart('var-lib-x', 'var-lib-y')}1\ndisk\ny\n${run}`, stderr);
      assert.is(stderr, '');
      assert.equal(records, all);
      assert.equal(found.made, made());
    },
  );
}
for (const [title, lines, left, record] of [
  ['is mounted already', '', '', keptRecord],
  [
    'has another mode in the store',
    'umount /var/lib/x; chmod 777 /data/store/var=lib=x',
    restart('var-lib-x'),
    /^STATE=kept\nREASON=.* was reset to /,
  ],
  [
    'has become a symbolic link',
    'umount /var/lib/x; rm -r /data/store/var=lib=x; ln -s /etc /data/store/var=lib=x',
    restart('var-lib-x'),
    /^STATE=failed\nREASON=.* is a symbolic link\n/,
  ],
  [
    'is no longer in the store',
    'umount /var/lib/x; rm -r /data/store/var=lib=x',
    restart('var-lib-x'),
    /^STATE=kept\nREASON=\n/,
  ],
] as const) {
  boot(`a path that ${title}, and the other is mounted`, () => {
    const { stdout, records } = persist({
      ...{ persist: paths, disk },
      run: `keep; rm -r /run/systemctl /run/immutafs/persisted; umount /var/lib/y; ${lines}
        keep 2>/dev/null; ${restarted}; findmnt -n -o SOURCE /var/lib/y`,
    });
    assert.ok(stdout.startsWith(left), stdout);
    assert.match(stdout.slice(left.length), /^\S+\[\/store\/var=lib=y\]\n$/);
    assert.match(records['var=lib=x'] ?? '', record);
    assert.is(records['var=lib=y'], keptRecord);
  });
}
boot('a path below another one is left to its service, after the outer one', () => {
  const { stdout, ...found } = persist({
    persist: `/var/lib/x/in/deep /var/lib/x/in:exec ${paths}`,
    disk: `${disk}; mkdir -p /var/lib/x/in/deep`,
    run: `keep; ${reboot} keep; ${restarted}`,
  });
  assert.is(stdout, restart('var-lib-x-in', 'var-lib-x-in-deep'));
  assert.equal(
    found.made,
    made(
      '/var/lib/x/in /store/var=lib=x=in rw,nosuid,nodev',
      '/var/lib/x/in/deep /store/var=lib=x=in=deep rw,nosuid,nodev,noexec',
    ),
  );
});
boot('a store that cannot be used: the service of each path reports it', () => {
  const { stdout, records, ...found } = persist({
    ...{ persist: paths, disk, data: null },
    run: `keep 2>/dev/null; echo $?; ${restarted}`,
  });
  assert.is(stdout, `0\n${restart('var-lib-x', 'var-lib-y')}`, 'each path is a failure of its own');
  assert.equal(found.made, []);
  for (const record of Object.values(records))
    assert.match(record, /^STATE=failed\nREASON=the file system of PERSIST_STORE at \/data is not/);
});
boot('the second path cannot be mounted: each path is mounted once, by its service in the end', () => {
  const { stdout, records, ...found } = persist({
    ...{ persist: paths, disk },
    run: `keep; ${reboot} strace -qq -o /dev/null -e inject=open_tree:error=ENOSYS:when=2 -e inject=mount:error=EPERM $command
      ${restarted}`,
  });
  assert.is(stdout, restart('var-lib-y'));
  assert.equal(records, all);
  assert.equal(found.made.toSorted(), made());
});
boot('a program that does not run: no path is kept, and the unit fails', () => {
  const run = 'rm /usr/libexec/immutafs/immutafs-boot; keep 2>/dev/null; echo $?';
  const { stdout, records, ...found } = persist({ persist: paths, disk, run });
  assert.is(stdout, '127\n');
  assert.equal([found.made, records], [[], {}]);
});
boot(
  'one limit for all paths: the first one is stopped, the others are not begun, and the next boot keeps all',
  () => {
    const { stdout, records, ...found } = persist({
      persist: `${paths} /var/lib/z`,
      disk: `${disk}; mkdir /var/lib/z`,
      // The clock of the guest is a file over /proc/uptime: a cp(1) uses the whole limit up, and does not end.
      run: `mkdir /run/slow; echo 100.00 0.00 >/run/slow/uptime; mount --bind /run/slow/uptime /proc/uptime
      replace cp '$0.real "$@"; echo 700.00 0.00 >/run/slow/uptime; exec sleep 600'; echo 3 >/run/seconds
      keep 2>/dev/null; echo $?; ${restarted}; cat /run/immutafs/persisted/*; findmnt /var/lib/x
      umount /proc/uptime; mv /usr/bin/cp.real /usr/bin/cp; rm /run/seconds; keep`,
    });
    const failed = `STATE=failed\nREASON=the time for all paths of PERSIST, 600 s, was used up\nREMEDY=`;
    const stop = 'stop immutafs-persist@var-lib-x.service\n';
    assert.is(
      stdout.replace(/^REMEDY=.*$/gm, 'REMEDY='),
      `0\n${restart('var-lib-x')}${stop}${`${failed}\n`.repeat(3)}`,
    );
    assert.equal(Object.values(records), [keptRecord, keptRecord, keptRecord]);
    assert.is(found.made.length, 3);
  },
);
boot.run();
