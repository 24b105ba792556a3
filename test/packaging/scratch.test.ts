/**
 * immutafs-boot mounts the paths of SCRATCH, with real mounts and disks. What it accepts is tested in Node
 * (test/unit/boot/scratch.test.ts).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Guest, persist } from '../harness/persist.ts';

const ready = 'STATE=ready\nREASON=\nREMEDY=\n';
const failed = 'STATE=failed\nREASON=/dev/vdb has no mark\nREMEDY=Mark it.\n';

/** Runs immutafs-boot in a guest with an ext4 at /run/immutafs/scratch-disk. */
function scratch({
  items,
  device = ready,
  config = '',
  ...guest
}: Omit<Guest, 'persist'> & { items: string; device?: string }) {
  const { records: _, ...result } = persist({
    ...guest,
    persist: '',
    config: `${config}SCRATCH=${items}\n`,
    before: `mkdir -p /run/immutafs/scratch-disk
echo MODE=${guest.mode ?? 'sealed'} >/run/immutafs/boot.env
printf '${device.replaceAll('\n', '\\n')}' >/run/immutafs/scratch-device
mount --bind /data /run/immutafs/scratch-disk`,
    run: `scratch() { /usr/libexec/immutafs/immutafs-boot scratch; }
${guest.run}
for name in /run/immutafs/scratch/*=*; do [ ! -e "$name" ] || { echo "== \${name##*/}"; cat "$name"; }; done`,
  });
  const [stdout = '', ...records] = result.stdout.split(/^== /m);
  return { ...result, stdout, records };
}

const empty = (name: string, state = 'disk') => `${name}\nSTATE=${state}\nREASON=\nREMEDY=\n`;
const onData = 'mkdir -p /srv/cache; echo disk >/srv/cache/file; chown 3:4 /srv/cache; chmod 2750 /srv/cache';
const overlay = 'findmnt -n -o FSTYPE,OPTIONS --mountpoint';

const test = suite('scratch');
test('an overlay below /var, and one outside of it: the content of the disk is visible, writes go to the device', () => {
  const { stdout, stderr, records } = scratch({
    items: '/var/lib/x /srv/cache:exec',
    disk: onData,
    run: `scratch; echo $?; cat /var/lib/x/file /srv/cache/file; stat -c '%a %u:%g' /srv/cache
        echo new >/var/lib/x/new; echo new >/srv/cache/new; cat /data/var=lib=x/upper/new /data/srv=cache/upper/new
        ls /run/immutafs/below/srv+cache; touch /run/immutafs/below/srv+cache/new
        ${overlay} /var/lib/x; ${overlay} /srv/cache; stat -c %a /run/immutafs/scratch-disk`,
  });
  const [code, ...lines] = stdout.trimEnd().split('\n');
  assert.is(code, '0');
  assert.equal(lines.slice(0, 5), ['disk', 'disk', '2750 3:4', 'new', 'new']);
  assert.is(lines[5], 'file', 'the lower layer');
  assert.match(stderr, /srv\+cache\/new.*Read-only file system/);
  assert.match(lines[6] ?? '', /^overlay +rw,nosuid,nodev,noexec/);
  assert.match(lines[7] ?? '', /^overlay +rw,nosuid,nodev,relatime/);
  assert.is(lines[8], '700', 'the content can be reached by the paths only');
  assert.equal(records, [empty('srv=cache'), empty('var=lib=x')]);
});

test('empty and copy: no overlay, with the owner and mode of the directory on the disk', () => {
  const { stdout, records } = scratch({
    items: '/var/lib/x:copy /srv/cache:empty',
    disk: onData,
    run: `scratch; echo $?; cat /var/lib/x/file; ls -A /srv/cache; stat -c '%a %u:%g' /srv/cache
        stat -f -c %T /var/lib/x /srv/cache; echo new >/srv/cache/new; cat /data/srv=cache/data/new`,
  });
  assert.is(stdout, '0\ndisk\n2750 3:4\next2/ext3\next2/ext3\nnew\n');
  assert.equal(records, [empty('srv=cache'), empty('var=lib=x')]);
});

test('the twin: without the device, the paths are in memory; with required, read-only', () => {
  const { stdout, stderr, records } = scratch({
    items: '/var/lib/x /srv/cache /srv/strict:required',
    device: failed,
    disk: `${onData}; mkdir /srv/strict`,
    run: `scratch; echo $?; echo new >/var/lib/x/new; echo new >/srv/cache/new; ls /data
        cat /run/var/upper/lib/x/new /run/var/below/*cache/upper/new; stat -f -c %T /run/var/below/*cache/upper
        touch /srv/strict/new; findmnt -n -o OPTIONS --mountpoint /srv/strict`,
  });
  assert.match(stdout, /^1\nlost\+found\nnew\nnew\ntmpfs\nro,nosuid,nodev,noexec,relatime\n$/);
  const because = 'REASON=/dev/vdb has no mark\nREMEDY=Mark it.\n';
  assert.equal(records, [
    `srv=cache\nSTATE=memory\n${because}`,
    `srv=strict\nSTATE=read-only\n${because}`,
    `var=lib=x\nSTATE=memory\n${because}`,
  ]);
  assert.match(stderr, /touch: .*Read-only file system/);
});

const four = '/srv/cache /srv/copied:copy /srv/empty:empty /var/lib/x';
const onDisk = `${onData}; for each in copied empty; do mkdir /srv/$each; echo disk >/srv/$each/file; done`;
const show = `for each in ${four.replaceAll(/:\w+/g, '')}; do cat $each/file; done`;

test('a soft reboot, which unmounts the paths and runs it again, keeps their content', () => {
  const { stdout, stderr, records } = scratch({
    items: four,
    disk: onDisk,
    run: `scratch; umount /srv/cache; for each in copied empty; do echo new >/srv/$each/file; done; echo new >/var/lib/x/file
        umount /srv/copied /srv/empty /var/lib/x /run/immutafs/below/srv+cache; ${show}; scratch; echo $?; ${show}`,
  });
  assert.is(stdout, 'disk\ndisk\ndisk\ndisk\n0\ndisk\nnew\nnew\nnew\n', stderr);
  assert.equal(
    records,
    ['srv=cache', 'srv=copied', 'srv=empty', 'var=lib=x'].map((each) => empty(each)),
  );
});

test('a new file system, which the repeated set-up of a boot makes, gets the content of the disk', () => {
  const { stdout } = scratch({
    items: '/srv/copied:copy',
    disk: onDisk,
    run: `scratch; echo new >/srv/copied/file; umount /srv/copied; rm -r /data/srv=copied; scratch; cat /srv/copied/file`,
  });
  assert.is(stdout, 'disk\n');
});

test('a soft reboot: what was in memory stays there, though the device is ready now', () => {
  const { stdout, records } = scratch({
    items: '/var/lib/x:copy /srv/cache',
    device: failed,
    disk: onData,
    run: `scratch; echo new >/var/lib/x/file; echo new >/srv/cache/file; umount /srv/cache /run/immutafs/below/srv+cache
        printf '${ready.replaceAll('\n', '\\n')}' >/run/immutafs/scratch-device; scratch; echo $?
        cat /var/lib/x/file /srv/cache/file; ls /data`,
  });
  assert.is(stdout, '0\nnew\nnew\nlost+found\n');
  const because = 'REASON=/dev/vdb has no mark\nREMEDY=Mark it.\n';
  assert.equal(
    records,
    ['srv=cache', 'var=lib=x'].map((each) => `${each}\nSTATE=memory\n${because}`),
  );
});

test('a soft reboot: a path that a process still uses stays mounted', () => {
  const { stdout, stderr, records } = scratch({
    items: '/srv/cache:empty',
    disk: onData,
    run: `scratch; echo new >/srv/cache/file; scratch; echo $?; cat /srv/cache/file; grep -c ' /srv/cache ' /proc/self/mountinfo`,
  });
  assert.is(stdout, '0\nnew\n1\n', stderr);
  assert.equal(records, [empty('srv=cache')]);
});

test('the twin: another mount at the path, in the first run', () => {
  const { records } = scratch({
    items: '/srv/cache:empty',
    disk: onData,
    run: 'mount -t tmpfs x /srv/cache; scratch',
  });
  assert.match(records[0] ?? '', /^srv=cache\nSTATE=failed\nREASON=\/srv\/cache is a mount point already/);
});

test('a path that cannot be mounted from the device is in memory, and the others are on it', () => {
  const { stdout, records } = scratch({
    items: '/var/lib/x /srv/cache /srv/strict:required,empty /srv/copied:copy',
    disk: `${onData}; mkdir /srv/strict /srv/copied`,
    run: `cd /run/immutafs/scratch-disk; echo >srv=cache; ln -s /tmp srv=strict; mkdir srv=copied; echo >srv=copied/data; cd /
        scratch; echo $?; for each in /var/lib/x /srv/cache /srv/copied; do touch $each/new; done; touch /srv/strict/new
        find /data /run/var/below -name new | sort; findmnt -rn -o TARGET | grep -c srv+cache`,
  });
  assert.is(
    stdout,
    '1\n/data/var=lib=x/upper/new\n/run/var/below/srv+cache/upper/new\n/run/var/below/srv+copied/upper/new\n1\n',
  );
  const because = (path: string, reason: string) =>
    `REASON=/run/immutafs/scratch-disk/${path} ${reason}\nREMEDY=Find out what changed the path during the boot, and see dmesg.\n`;
  assert.equal(records, [
    `srv=cache\nSTATE=memory\n${because('srv=cache', 'is not a directory')}`,
    `srv=copied\nSTATE=memory\n${because('srv=copied/data', 'is not a directory')}`,
    `srv=strict\nSTATE=read-only\n${because('srv=strict', 'is a symbolic link')}`,
    empty('var=lib=x'),
  ]);
});

test('each path has its own reason, also if one ends like the other', () => {
  const { records } = scratch({
    items: '/srv/srv/cache:empty /srv/cache:empty',
    disk: `${onData}; mkdir -p /srv/srv/cache`,
    run: 'cd /run/immutafs/scratch-disk; echo >srv=cache; ln -s /tmp srv=srv=cache; cd /; scratch',
  });
  assert.match(records[0] ?? '', /^srv=cache\nSTATE=memory\nREASON=\S+\/srv=cache is not a directory\n/);
  assert.match(
    records[1] ?? '',
    /^srv=srv=cache\nSTATE=memory\nREASON=\S+\/srv=srv=cache is a symbolic link\n/,
  );
});

test('a kernel that refuses overlays, or all mounts: no path is on the device', () => {
  for (const [calls, code, strict] of [
    ['mount', 1, 'read-only'],
    ['mount,open_tree', 1, 'failed'],
  ] as const) {
    const { stdout, records } = scratch({
      items: '/var/lib/x /srv/cache:required',
      disk: onData,
      run: `strace -qq -o /dev/null -e inject=${calls}:error=EIO /usr/libexec/immutafs/immutafs-boot scratch
        echo $?; findmnt -n -o TARGET,OPTIONS /srv/cache`,
    });
    assert.match(stdout, strict === 'failed' ? /^1\n$/ : /^1\n\/srv\/cache +ro,/);
    assert.is(code, 1);
    assert.match(records[0] ?? '', `srv=cache\nSTATE=${strict}\nREASON=`);
    assert.match(records[0] ?? '', 'Input/output error');
    assert.match(records[1] ?? '', /^var=lib=x\nSTATE=memory\n/, 'in /var, which is in memory');
  }
});

test('maintenance: nothing is mounted', () => {
  const { made, records } = scratch({ mode: 'maintenance', items: '/var/lib/x', run: 'scratch' });
  assert.equal(made, []);
  assert.equal(records, []);
});
test.run();
