import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Guest, persist } from './persist.ts';

/** What is wrong, the reason, lines of bash in the guest, and the rest of the guest. */
type Row = readonly [string, string, string?, Partial<Guest>?];

const made = 'mkdir -m 700 /data/store;';
const below = { config: 'PERSIST_STORE=/data/a/store\n' };
const rows: readonly Row[] = [
  ['absent', 'the file system of PERSIST_STORE at /data is not mounted', '', { data: null }],
  [
    'the store is on the root',
    'the file system of PERSIST_STORE is not mounted',
    made,
    { data: null, fstab: '', mode: 'maintenance' },
  ],
  ['a tmpfs', '/data (tmpfs) is not on a disk', 'mount -t tmpfs -o nosuid,nodev x /data', { data: null }],
  [
    'an overlay',
    '/data (overlay) is not on a disk',
    'mkdir /run/u /run/w; mount -t overlay -o nosuid,nodev,lowerdir=/var,upperdir=/run/u,workdir=/run/w x /data',
    { data: null },
  ],
  ['a loop device', '/data (ext4) is not on a disk', '', { dataOn: 'none' }],
  ['a partition of the disk of the root', '/data is on the disk of /', '', { dataOn: 'vda' }],
  ['likewise in maintenance', '/data is on the disk of /', '', { dataOn: 'vda', mode: 'maintenance' }],
  ['a read-only disk', 'the disk vdc of /data is read-only', '', { dataOn: 'vdc' }],
  ['mounted read-only', '/data is mounted read-only', '', { data: 'ro,nosuid,nodev' }],
  ['mounted without nodev', '/data is mounted without nodev', '', { data: 'nosuid' }],
  ['mounted without nosuid', '/data is mounted without nosuid', '', { data: 'nodev' }],
  ['another mode', 'root with the mode 0700 (0 0750)', 'mkdir -m 750 /data/store'],
  ['another owner', '0700 (7 0700)', `${made} chown 7 /data/store`],
  ['a link', '/data/store is a symbolic link', 'mkdir -m 700 /data/real; ln -s real /data/store'],
  ['a dangling link', '/data/store is a symbolic link', 'ln -s /etc/new /data/store'],
  ['a file', '/data/store is not a directory', ': >/data/store'],
  ['a link above it', '/data/a is a symbolic link', 'mkdir -p /data/real; ln -s real /data/a', below],
  ['a directory above it is missing', '/data/a is not a directory', '', below],
  ['others can write above it', 'users other than root can write to /data/a', 'mkdir -m 777 /data/a', below],
  ['the mount point belongs to a user', 'can write to /data, which holds', 'chown 7 /data'],
  [
    'the directory of the path is a symbolic link',
    '/data/store/var=lib=x is a symbolic link',
    `${made} ln -s /etc /data/store/var=lib=x`,
  ],
  [
    'the directory of the path is a FIFO',
    '/data/store/var=lib=x is not a directory',
    `${made} mkfifo /data/store/var=lib=x`,
  ],
];

const refusals = suite('persist-directory: the store');
for (const [title, reason, before = '', guest] of rows) {
  refusals(`${title}: nothing is mounted or created`, () => {
    const {
      stdout,
      records,
      made: mounts,
    } = persist({
      ...{ ...guest, before },
      run: `list() { find /data -printf '%p %y %m %u\\n' | sort; }; list >/run/a
        keep /var/lib/x 2>/dev/null; echo $?; list | diff /run/a - && check /var/lib/x`,
    });
    const record = records['var=lib=x'] ?? '';
    assert.match(record, /^STATE=failed\nREASON=.+\nREMEDY=.+\n$/);
    assert.ok(record.includes(reason), record);
    assert.is(stdout, `1\n${record.replace(/^STATE.*\n/, '')}`);
    assert.equal(mounts, []);
  });
}

refusals('a store below directories of root, made by an administrator', () => {
  const { made } = persist({
    config: 'PERSIST_STORE=/data/a/b/store\n',
    before: 'mkdir -p /data/a; mkdir -m 775 /data/a/b; chmod g-w /data/a/b',
    run: 'keep /var/lib/x',
  });
  assert.equal(made, ['/var/lib/x /a/b/store/var=lib=x rw,nosuid,nodev,noexec']);
});

refusals('what a hostile store contains is neither followed nor opened', () => {
  const hostile = `mkdir -m 700 /data/store; cd /data/store
    mkdir seeding:var=lib=x seeding:var=lib=x/deep; mkfifo seeding:var=lib=x/fifo; ln -s /etc seeding:var=lib=x/deep/etc`;
  const leftover = persist({
    before: hostile,
    run: 'keep /var/lib/x; echo $?; ls /data/store /var/lib/x; ls /etc',
  });
  assert.is(leftover.stdout, '0\n/data/store:\nvar=lib=x\n\n/var/lib/x:\nfile\nfstab\nimmutafs\n');
  const link = persist({
    mode: 'maintenance',
    before: 'mkdir -m 700 /data/store; ln -s /etc /data/store/seeding:var=lib=x',
    run: 'keep /var/lib/x; echo $?; ls /data/store /etc',
  });
  assert.is(link.stdout, '0\n/data/store:\nvar=lib=x\n\n/etc:\nfstab\nimmutafs\n');
});

refusals('a directory in a kept directory that became a symbolic link: no mount elsewhere', () => {
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

refusals('owner and mode of the directory in the store are reset to those on the disk', () => {
  const { stdout, records } = persist({
    disk: 'chown 12:34 /var/lib/x; chmod 750 /var/lib/x',
    before: 'mkdir -m 700 /data/store; mkdir -m 777 /data/store/var=lib=x; chown 7:8 /data/store/var=lib=x',
    run: "keep /var/lib/x; stat -c '%u:%g %a' /var/lib/x; keep /var/lib/x; cat /run/immutafs/persisted/*",
  });
  assert.is(stdout.split('\n')[0], '12:34 750');
  const first = persist({
    disk: 'chown 12:34 /var/lib/x; chmod 750 /var/lib/x',
    run: 'keep /var/lib/x; umount /var/lib/x; chmod 777 /data/store/var=lib=x; keep /var/lib/x',
  });
  assert.match(
    first.records['var=lib=x'] ?? '',
    'REASON=/data/store/var=lib=x had 12:34 777 and was reset to 12:34 750, as on the disk',
  );
  assert.match(records['var=lib=x'] ?? '', 'STATE=kept\n');
});

refusals('the access control lists of the directory in the store are reset to those on the disk', () => {
  const lists = 'getfacl -pn --omit-header /var/lib/x; stat -c %a /var/lib/x';
  for (const [onDisk, inStore] of [
    ['true', 'setfacl -m u:4242:rwx,d:u:4242:rwx,m::rwx'],
    ['true', 'setfacl -m d:g:77:rwx'],
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
    assert.is(stdout, 'STATE=kept\nREASON=\nREMEDY=\n', `${inStore}: ${stderr}`);
    assert.match(records['var=lib=x'] ?? '', /^STATE=kept\nREASON=.*other access control lists/, inStore);
  }
});

/** The path, the reason, lines of bash on the disk, and in the guest. */
const paths: readonly (readonly [string, string, string?, string?])[] = [
  ['/var/lib/x/file', '/var/lib/x/file is not a directory: if a program renamed'],
  ['/var/lib/none', '/var/lib/none does not exist on the disk'],
  // Only this boot has made it.
  ['/var/lib/new', '/var/lib/new does not exist on the disk', '', 'mkdir /var/lib/new'],
  ['/var/lib/link', '/var/lib/link is a symbolic link', 'ln -s x /var/lib/link'],
  ['/var/lib/up/y', '/var/lib/up is a symbolic link', 'mkdir /var/lib/x/y; ln -s x /var/lib/up'],
  // A symbolic link on the disk only.
  [
    '/var/lib/y',
    '/run/immutafs/lower/lib/y is a symbolic link',
    'ln -s x /var/lib/y',
    'rm /var/lib/y; mkdir /var/lib/y',
  ],
  ['/var/lib/x', '/var/lib/x is a mount point already (tmpfs)', '', 'mount -t tmpfs x /var/lib/x'],
  ['/var/log', '/var/log/a, a mount point, is below it', 'mkdir /var/log/a', 'mount -t tmpfs x /var/log/a'],
  ['/srv/x', '/srv/x is on /srv (tmpfs), not on a disk', 'mkdir /srv', 'mount -t tmpfs x /srv; mkdir /srv/x'],
  ['/data/x', '/data/x is on the disk of PERSIST_STORE and kept already', '', 'mkdir /data/x'],
  [
    '/srv/x',
    '/srv is an overlay that immutafs did not mount',
    'mkdir -p /srv/x',
    'mkdir /run/u /run/w; mount -t overlay -o lowerdir=/srv,upperdir=/run/u,workdir=/run/w x /srv',
  ],
];

for (const [path, reason, disk = '', before = ''] of paths) {
  refusals(`${reason}: refused, and as it is without PERSIST`, () => {
    const run = `keep ${path} 2>/dev/null; echo $?; ls /data`;
    const { stdout, records, made: mounts } = persist({ persist: path, disk, before, run });
    const [record = ''] = Object.values(records);
    assert.match(record, /^STATE=failed\nREASON=.+\nREMEDY=.+\n$/);
    assert.ok(record.includes(reason), record);
    assert.match(stdout, /^1\nlost\+found\n(x\n)?$/);
    assert.equal(mounts, []);
  });
}

/** Mounts a second data disk on /srv that is the disk `on` in sysfs. */
const third = (on: string) => `
truncate -s 8m /run/third; mkfs.ext4 -q /run/third; umount /sys; mount -t sysfs sys /sys
mount -o loop /run/third /srv; umount /sys; mkdir -p /run/sys/dev/block /run/sys/class/block /run/sys/d
cp -R /run/fixture/. /run/sys; mount --bind /run/sys /sys
ln -s "$(readlink "/sys/dev/block/${on}")" "/sys/dev/block/$(mountpoint -d /srv)"; mkdir /srv/x; : >/srv/x/file`;

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
  refusals(`${title}: ${reason === undefined ? 'kept' : 'refused'}`, () => {
    const { records, made } = persist({
      persist: '/srv/x',
      disk: 'mkdir /srv',
      before: `cp -R /sys /run/fixture; ${third(on)}\n${before}`,
      run: 'keep /srv/x 2>/dev/null',
    });
    assert.match(records['srv=x'] ?? '', reason ?? 'STATE=kept');
    assert.is(made.length, reason === undefined ? 1 : 0);
  });
}
refusals.run();
