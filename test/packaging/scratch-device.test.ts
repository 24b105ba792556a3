/**
 * immutafs-boot opens, marks and discards SCRATCH_DEVICE, with real block devices. Which devices it accepts is tested in Node
 * (test/unit/boot/scratch-device.test.ts).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Sandbox, runInSandbox } from '../shell/sandbox.ts';

const link = '/dev/disk/by-id/virtio-scratch';
const uuid = '4C4C4544-0042-3510-8053-B7C04F4E5931';

interface Guest {
  mode?: string;
  config?: string;
  sizeMiB?: number;
  devices?: Sandbox['devices'];
  /** Lines of bash; `scratch COMMAND…` runs scratch-COMMAND of immutafs-boot. The device is /dev/vdb, another one /dev/vdc. */
  run: string;
}

/**
 * Runs lines of bash in a guest with two real block devices. Where the machine has no device-mapper, a loop device without
 * encryption stands for the mapping, with the beginning and the size that the table gives it.
 */
function inGuest({ mode = 'sealed', config, sizeMiB = 80, devices, run }: Guest) {
  const { code, stdout, stderr, out } = runInSandbox({
    shell: ['dash'],
    devices: devices ?? [
      { name: 'vda', device: '252:0', bus: 'virtio-blk', offered: true },
      { name: 'vdb', device: '252:16', bus: 'virtio-blk' },
      { name: 'vdc', device: '252:32', bus: 'virtio-blk' },
    ],
    files: {
      'etc/immutafs/immutafs.conf': config ?? `SCRATCH_DEVICE=${link}\n`,
      'run/immutafs/boot.env': `MODE=${mode}\nREASON=disk vda is read-only\n`,
      'sys/class/dmi/id/product_uuid': `${uuid}\n`,
      dmsetup: `#!/bin/bash
echo "$1 $2" >/out/dmsetup
[ "$1" = create ] || { losetup -d "$(readlink /dev/mapper/immutafs-scratch)"; exec rm /dev/mapper/immutafs-scratch; }
read -r cipher key _ device offset options <<<"$5"
sectors=$6
echo "$3 $sectors $4 $cipher \${#key} $device $offset $options" >/out/table; echo "$key" >>/out/keys
mount -t sysfs sys /sys
loop=$(losetup -f --show --offset $((offset * 512)) --sizelimit $((sectors * 512)) /dev/vdb)
umount /sys; mkdir -p /dev/mapper
if [ -e /late-link ]; then (sleep 4; ln -s $loop /dev/mapper/$2) >/dev/null 2>&1 & else ln -s $loop /dev/mapper/$2; fi
echo 7:\${loop#/dev/loop}
`,
    },
    run: `
set -e
mkdir -p /dev/disk/by-id /mnt
mount -t sysfs sys /sys
for name in vdb vdc; do
  truncate -s ${sizeMiB}m /$name.img
  loop=$(losetup -f --show /$name.img); loops="$loop $loops"
  mknod /dev/$name b 7 \${loop#/dev/loop}
  # The kernel detaches it when this shell ends, and no command here can detach that of another process.
  if [ $name = vdb ]; then exec 7<$loop; else exec 8<$loop; fi
  losetup -d $loop
done
umount /sys
ln -s ../../vdb ${link}; ln -s ../../vdc ${link}-other
trap 'umount /run/immutafs/scratch-disk; [ ! -L /dev/mapper/immutafs-scratch ] || losetup -d "$(readlink /dev/mapper/immutafs-scratch)"' EXIT 2>/dev/null
scratch() { local command=$1; shift; /usr/libexec/immutafs/immutafs-boot "scratch-$command" "$@"; }
set +e
${run}
exit 0
`,
  });
  assert.is(code, 0, stderr);
  return { stdout, stderr, out };
}

const test = suite('scratch-open');
test('a marked device gets a new key and a new file system in every sealed boot', () => {
  const { stdout, out } = inGuest({
    run: `scratch mark ${link} && scratch check && scratch open && cat /run/immutafs/scratch-device
        findmnt -n -o FSTYPE,OPTIONS /run/immutafs/scratch-disk
        echo secret >/run/immutafs/scratch-disk/file; scratch open; cat /run/immutafs/scratch-disk/file
        scratch close && echo closed; scratch open; ls /run/immutafs/scratch-disk; scratch close; scratch check && echo marked`,
  });
  const [state, reason, remedy, device, mount, ...rest] = stdout.trimEnd().split('\n');
  assert.equal([state, reason, remedy], ['STATE=ready', 'REASON=', 'REMEDY=']);
  assert.match(device ?? '', /^DEVICE=\d+:\d+$/);
  assert.match(mount ?? '', /^ext4 +rw,nosuid,nodev,noexec,noatime/);
  assert.equal(rest, ['secret', 'closed', 'lost+found', 'marked']);
  // 80 MiB without the first and the last one; two keys of 256 bits in hexadecimal digits.
  assert.is(
    out['table'],
    `CRYPT-PLAIN-immutafs-scratch ${(78 * 1024 * 1024) / 512} crypt aes-xts-plain64 128 252:16 2048 1 allow_discards\n`,
  );
  const keys = out['keys']?.trimEnd().split('\n') ?? [];
  assert.is(new Set(keys).size, 2, 'two boots, two keys');
  assert.is(out['dmsetup'], 'remove CRYPT-PLAIN-immutafs-scratch\n');
});

test('the twin: a device without a mark is not opened, and stays as it is', () => {
  const { stdout, stderr } = inGuest({
    run: `md5sum </dev/vdb >/before; scratch open; echo $?; md5sum </dev/vdb | cmp - /before && echo same
        findmnt /run/immutafs/scratch-disk; cat /run/immutafs/scratch-device`,
  });
  const [code, same, ...record] = stdout.trimEnd().split('\n');
  assert.equal([code, same], ['1', 'same']);
  assert.match(record.pop() ?? '', /^DEVICE=\d+:\d+$/);
  assert.equal(record, [
    'STATE=failed',
    'REASON=/dev/vdb has no mark',
    'REMEDY=Mark it while the system disk is writable: `immutafs-agent prepare --apply --only scratch --scratch-device /dev/vdb`.',
  ]);
  assert.match(stderr, /SCRATCH_DEVICE is not used: \/dev\/vdb has no mark/);
});
test('the file system has noexec unless a path has the option exec, wherever the option stands', () => {
  for (const [items, noexec] of [
    ['/srv/a:exec', false],
    ['/srv/a:exec,empty /srv/b', false],
    ['/srv/b /srv/a:empty,suid,exec', false],
    ['/srv/exec /srv/b:empty', true],
  ] as const) {
    const { stdout } = inGuest({
      config: `SCRATCH_DEVICE=${link}\nSCRATCH=${items}\n`,
      run: `scratch mark ${link} && scratch open; findmnt -n -o OPTIONS /run/immutafs/scratch-disk; scratch close`,
    });
    assert.is(/\bnoexec\b/.test(stdout), noexec, `${items}: ${stdout}`);
  }
});
test('udev is late: it makes the link of the disk while the boot waits, and then that of the mapping', () => {
  const { stdout, stderr, out } = inGuest({
    run: `scratch mark ${link}; rm ${link}
        ${udevadm(`ln -s ../../vdb ${link}`)}
        touch /late-link
        scratch open; echo $?; head -n 1 /run/immutafs/scratch-device`,
  });
  assert.is(stdout, '0\nSTATE=ready\n', stderr);
  assert.is(out['udevadm'], `settle --timeout=180 --exit-if-exists=${link}\n`);
});
for (const [title, answer] of [
  ['udev has processed all devices', 'exit 0'],
  ['udev is busy until the limit', 'exit 1'],
] as const) {
  test(`the disk never appears, and ${title}: the boot goes on`, () => {
    const { stdout, out } = inGuest({
      run: `scratch mark ${link}; rm ${link}; ${udevadm(answer)}
          begin=$SECONDS; scratch open 2>/dev/null; echo $? $((SECONDS - begin < 10)); cat /run/immutafs/scratch-device`,
    });
    assert.is(
      stdout,
      `1 1\nSTATE=failed\nREASON=${link} does not exist\nREMEDY=Attach the disk, with this serial number.\nDEVICE=\n`,
    );
    assert.match(out['udevadm'] ?? '', /^settle .*\n$/);
  });
}
test('a disk that is there is not waited for', () => {
  const { stdout, out } = inGuest({
    run: `scratch mark ${link}; ${udevadm('exit 1')}
        scratch open; echo $?`,
  });
  assert.equal([stdout, out['udevadm']], ['0\n', undefined]);
});
test('a disk that does not answer: the time is limited, and the mapping is removed', () => {
  const { stdout } = inGuest({
    run: `scratch mark ${link}; echo 2 >/run/seconds
        # As a process that waits for a disk, one of another group is not ended and keeps the output open.
        printf '#!/bin/sh\\nsetsid sleep 60 &\\nexec sleep 60\\n' >/usr/sbin/mkfs.ext4; chmod +x /usr/sbin/mkfs.ext4
        begin=$SECONDS; scratch open 2>/dev/null; echo $? $((SECONDS - begin < 20)); cat /run/immutafs/scratch-device; ls -d /dev/mapper/immutafs-*`,
  });
  assert.match(
    stdout,
    /^1 1\nSTATE=failed\nREASON=\/dev\/vdb is too slow: 60 s were not enough \(dm-crypt \d+ s, mkfs\.ext4 \d+ s\)\nREMEDY=Use a faster disk\.\nDEVICE=\d+:\d+\n$/,
  );
});
test.run();

/** Returns a line that installs an udevadm(8) which notes its arguments and then runs a command. */
function udevadm(command: string): string {
  const lines = ['#!/bin/sh', 'echo "$@" >>/out/udevadm', command].map((line) => `'${line}'`).join(' ');
  return `printf '%s\\n' ${lines} >/usr/sbin/udevadm; chmod +x /usr/sbin/udevadm`;
}

const write = (position: string) =>
  `printf x | dd of=/dev/vdb bs=1 seek=$((${position})) conv=notrunc 2>/dev/null`;

/** The end of a sealed boot. */
const discarding = suite('scratch-discard');
const opened = `scratch mark ${link} && scratch open 2>/dev/null || exit
dd if=/dev/urandom of=/run/immutafs/scratch-disk/file bs=1M count=30 conv=fsync 2>/dev/null
allocated() { du -k $image | cut -f 1; }; [ $(allocated) -ge 30000 ] && echo written; md5sum </vdc.img >/before`;
const discard = `scratch discard; echo $?; findmnt -n -o TARGET /run/immutafs/scratch-disk; ls /dev/mapper/immutafs-scratch 2>/dev/null
md5sum </vdc.img | cmp - /before && echo same`;

discarding('the space is given back; the mark stays, and so does another disk', () => {
  const { stdout, stderr } = inGuest({
    run: `image=/vdb.img; ${opened}; ${discard}; allocated; scratch check && echo marked
      scratch open 2>/dev/null; ls /run/immutafs/scratch-disk`,
  });
  const [written, code, same, kilobytes, ...rest] = stdout.trimEnd().split('\n');
  assert.equal([written, code, same, ...rest], ['written', '0', 'same', 'marked', 'lost+found'], stderr);
  // The first and the last MiB, if they were written.
  assert.ok(Number(kilobytes) <= 2048, kilobytes);
});

const isOpen = '/run/immutafs/scratch-disk\n/dev/mapper/immutafs-scratch\n';
for (const [title, lines, reason, open = ''] of [
  ['a program uses a file', 'exec 6</run/immutafs/scratch-disk/file', /cannot be unmounted/, isOpen],
  ['the device has lost its mark', write('510'), /\/dev\/vdb has other data: byte 510/],
  [
    'its name leads to another marked disk',
    `rm ${link}; ln -s ../../vdc ${link}; scratch mark ${link}; md5sum </vdc.img >/before`,
    /\/dev\/vdc is not the device that this boot has opened \(252:16\)/,
  ],
  [
    'the boot has not opened it',
    'scratch close; sed -i s/ready/failed/ /run/immutafs/scratch-device',
    /this boot has not opened it/,
  ],
  ['there is no record', 'scratch close; rm /run/immutafs/scratch-device', /this boot has not opened it/],
] as const) {
  discarding(`${title}: nothing is discarded`, () => {
    const { stdout, stderr } = inGuest({
      run: `image=/vdb.img; ${opened}; ${lines}; ${discard}; [ $(allocated) -ge 30000 ] && echo allocated`,
    });
    assert.is(stdout, `written\n1\n${open}same\nallocated\n`, stderr);
    assert.match(stderr, reason);
  });
}

discarding('a disk without discard: it is closed, and the reason is reported', () => {
  const { stdout, stderr } = inGuest({
    // A loop device of a file on ramfs, which cannot have holes.
    run: `mount -t ramfs none /mnt; cp /vdb.img /mnt; exec 7<&-
      mount -t sysfs sys /sys; loop=$(losetup -f --show /mnt/vdb.img); umount /sys
      rm /dev/vdb; mknod /dev/vdb b 7 \${loop#/dev/loop}; exec 7<$loop; losetup -d $loop
      image=/mnt/vdb.img; ${opened}; ${discard}; [ $(allocated) -ge 30000 ] && echo allocated; scratch check && echo marked`,
  });
  assert.is(stdout, 'written\n1\nsame\nallocated\nmarked\n', stderr);
  assert.match(
    stderr,
    /\/dev\/vdb does not support discard\. Have the host attach the disk with discard='unmap'\.\n/,
  );
});
discarding.run();

const refused = suite('scratch-open: devices that are not formatted');
for (const [title, lines, reason] of [
  ['it is mounted', 'mkfs.ext4 -q /dev/vdb; mount -t ext4 /dev/vdb /mnt', /^\/dev\/vdb is in use/],
  ['it has other data', write('1048575'), /^\/dev\/vdb has other data: byte 1048575$/],
  [
    'read-only',
    'exec 7<&-; mount -t sysfs sys /sys; loop=$(losetup -f -r --show /vdb.img); umount /sys; rm /dev/vdb; mknod /dev/vdb b 7 ${loop#/dev/loop}; exec 7<$loop; losetup -d $loop',
    /^\/dev\/vdb is read-only$/,
  ],
  [
    'maintenance',
    'echo MODE=maintenance >/run/immutafs/boot.env',
    /^this boot is not sealed \(maintenance\)$/,
  ],
  [
    'device-mapper refuses the table',
    `printf '#!/bin/sh\\nexit 1' >/dmsetup`,
    /^device-mapper: Device or resource busy$/,
  ],
  ['mkfs is not installed', 'rm /usr/sbin/mkfs.ext4', /^mkfs\.ext4 is not installed$/],
  [
    'mkfs fails',
    `printf '#!/bin/sh\\necho no room >&2; exit 1' >/usr/sbin/mkfs.ext4; chmod +x /usr/sbin/mkfs.ext4`,
    /^mkfs\.ext4 failed: no room$/,
  ],
  [
    'a disk that is too slow',
    `echo 1 >/run/seconds
    printf '#!/bin/sh\\nexec sleep 60' >/usr/sbin/mkfs.ext4; chmod +x /usr/sbin/mkfs.ext4`,
    /^\/dev\/vdb is too slow: /,
  ],
] as const) {
  refused(`marked, then ${title}: not opened, with the reason`, () => {
    const { stdout, stderr, out } = inGuest({
      run: `scratch mark ${link} && scratch check || exit; ${lines}
        scratch open; echo $?; findmnt /run/immutafs/scratch-disk; ls /dev/mapper/immutafs-scratch 2>/dev/null
        cat /run/immutafs/scratch-device >/out/record`,
    });
    assert.is(stdout, '1\n', stderr);
    const [, recorded] =
      /^STATE=failed\nREASON=(.*)\nREMEDY=.+\nDEVICE=.*\n$/.exec(out['record'] ?? '') ?? [];
    assert.match(recorded ?? '', reason, recorded);
  });
}

refused.run();

const marking = suite('scratch-mark');
marking('a file system is erased only with wipe', () => {
  const { stdout } = inGuest({
    run: `mkfs.ext4 -q -E nodiscard /dev/vdb; md5sum </dev/vdb >/before; scratch mark ${link}; echo $?
      md5sum </dev/vdb | cmp - /before && echo same
      scratch mark ${link} wipe; echo $?; scratch check; echo $?; blkid -p /dev/vdb; echo $?`,
  });
  assert.match(stdout, /^REASON=\/dev\/vdb has other data: byte \d+\nREMEDY=.*--wipe.*\n1\nsame\n0\n0\n2\n$/);
});
marking('a device in use is not marked, also with wipe', () => {
  const { stdout } = inGuest({
    run: `mkfs.ext4 -q /dev/vdb; mount -t ext4 /dev/vdb /mnt; echo x >/mnt/x; scratch mark ${link} wipe; echo $?; umount /mnt
      mount -t ext4 /dev/vdb /mnt; cat /mnt/x`,
  });
  assert.match(stdout, /^REASON=\/dev\/vdb is in use.*\nREMEDY=.*\n1\nx\n$/, stdout);
});
marking('unmark: the next boot does not format it', () => {
  const run = `scratch mark ${link}; scratch unmark ${link}; echo $?; scratch check | head -n 1`;
  assert.is(inGuest({ run }).stdout, '0\nREASON=/dev/vdb has no mark\n');
});
marking.run();
