import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { diskOf } from '../harness/own-flag.ts';
import { checkOf, ext4OnPartition, look, notPassed, statusOf, withAgent } from '../harness/scenario.ts';

/** The counterpart, a soft reboot of a guest that the host seals, is `matrix/strict-soft-reboot.test.ts`. */
const copied = suite('a soft reboot onto a copy of the system disk that root write-protects');

/** Copies the root to a disk of scsi_debug, write-protects the disk, and boots from it. */
const copy = `
set -e
modprobe scsi_debug dev_size_mb=1450 delay=0
udevadm settle
disk=$(basename /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*/block/*)
fsfreeze --freeze /
dd if="$(findmnt -n -o SOURCE /)" of="/dev/$disk" bs=1M status=none conv=fsync || code=$?
fsfreeze --unfreeze /
[ -z "$code" ]
echo 1 >/sys/module/scsi_debug/parameters/wp
echo 1 >"/sys/class/block/$disk/device/rescan"
udevadm trigger --action=change --sysname-match="$disk"
udevadm settle
mkdir -p /run/nextroot
mount -o ro "/dev/$disk" /run/nextroot
rm /run/immutafs/boot.env
touch /run/copied
systemctl soft-reboot
sleep 300`;

/** The soft reboot ends the first run of the steps. After the soft reboot, all steps run again. */
const steps = {
  copy: `[ -e /run/copied ] || { ${copy}; }`,
  count: 'systemctl show --value -p SoftRebootsCount',
  source: 'findmnt -n -o SOURCE /; cat /sys/block/sda/ro; dmesg | grep "Write Protect is on"',
  links: 'find /dev/block/immutafs -type l -not -path "*/unsealed/*"',
  ...look,
};

/** /boot stays on the system disk, which would make host-enforced fail as well. */
const requireRoot = (root: string) =>
  appendFile(join(root, 'etc/immutafs/immutafs.conf'), 'REQUIRE_READONLY=/\n');

copied('the guest is not sealed: the host left the system disk writable', () =>
  withAgent({ layout: ext4OnPartition, edit: requireRoot }, async (guest) => {
    const boot = await guest.boot({ disk: 'writable', steps, memoryMiB: 2560, limitSeconds: 900 });
    assert.is(boot.step('count').stdout, '1\n');
    assert.match(boot.step('source').stdout, /^\/dev\/sda\n1\n.*Write Protect is on/s);
    const { report, exit } = statusOf(boot);
    assert.equal([report.enforcement, report.verdict, exit], ['guest', 'failed', 1]);
    assert.is(diskOf(report, '/')?.hostReadOnly, false);
    assert.equal(notPassed(report), ['host-enforced', 'boot-inputs']);
    assert.match(checkOf(report, 'boot-inputs').observed, /^\/boot is on vda, which is writable/);
    assert.match(checkOf(report, 'host-enforced').observed, /scsi_debug/);
    assert.is(boot.step('links').stdout, '');
  }),
);

copied.run();
