import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runInSandbox } from '../shell/sandbox.ts';

/**
 * Runs `immutafs-boot lvm-config` with this machine's lvm and three physical volumes, of which the first is sealed.
 *
 * @param others lines of sh that make a volume group on the second physical volume, $second
 * @param hidden whether udev does not report the second physical volume, because it has another signature, too
 * @param filter the configured global_filter
 */
function tell(others: string, hidden = false, filter = '"r|/dev/sr.*|"'): Record<string, string> {
  const { code, out, stderr } = runInSandbox({
    shell: ['dash'],
    devices: [],
    files: {
      'etc/lvm/lvm.conf':
        'backup { backup=0 archive=0 }\nactivation { udev_sync=0 udev_rules=0 }\ndevices { use_devicesfile=0 }\n',
      'etc/lvm/lvmlocal.conf': `devices {\n\tglobal_filter = [ ${filter} ]\n}\n`,
    },
    run: `
mount -t sysfs sys /sys
export LVM_SUPPRESS_FD_WARNINGS=1
mkdir -p /dev/block/immutafs; mount -t tmpfs x /dev/block/immutafs; mkdir /dev/block/immutafs/{lvm,unsealed-lvm,unsealed,by-uuid}
attach() { truncate -s 32m "/$1"; losetup -f --show "/$1"; }
only() { lvm "$1" --driverloaded n --config "devices { global_filter=[\\"a|^$2$|\\",\\"r|.*|\\"] }" "\${@:3}"; }
uuid() { set -- $(only pvs "$1" --noheadings -o pv_uuid 2>/dev/null); echo "$1"; }
first=$(attach first) second=$(attach second) third=$(attach third)
set -e
only pvcreate $first $first; only vgcreate $first rhel $first
only pvcreate $third $third; only vgcreate $third data $third
${others}
set +e
ln -s $first /dev/block/immutafs/lvm/; ln -s $third /dev/block/immutafs/unsealed-lvm/
ln -s $second /dev/block/immutafs/${hidden ? 'unsealed' : 'unsealed-lvm'}/
ln -s $first /dev/block/immutafs/by-uuid/$(uuid $first)
mkdir -p /run/udev/data
for device in ${hidden ? '' : '$second '}$third; do
  printf 'E:ID_FS_TYPE=LVM2_member\\nE:ID_FS_UUID_ENC=%s\\n' $(only pvs $device --noheadings -o pv_uuid $device 2>/dev/null) >/run/udev/data/b$(cat /sys/class/block/\${device##*/}/dev)
done
/usr/libexec/immutafs/immutafs-boot lvm-config
code=$?
lvm pvs --driverloaded n --noheadings -o vg_name 2>/dev/null | tr -d ' ' | sort >/out/groups
lvm lvs --driverloaded n --noheadings -o lv_name,devices 2>/dev/null | sed "s|$first|FIRST|; s|$second|SECOND|" >/out/volumes
sed "s|$first|FIRST|; s|$second|SECOND|" /run/immutafs/impostors >/out/impostors
losetup -d $first $second $third
exit $code
`,
  });
  assert.is(code, 0, stderr);
  return out;
}

const lvm = suite('real lvm ignores physical volumes that pose as the sealed group');

lvm('a copy', () => {
  const { groups, impostors } = tell('dd if=$first of=$second bs=1M status=none');
  assert.is(groups, 'data\nrhel\n');
  assert.match(impostors ?? '', /^IMPOSTOR=SECOND FIRST UUID=\S+\n$/);
});

lvm('another group of the same name', () => {
  const { groups, impostors } = tell('only pvcreate $second $second; only vgcreate $second rhel $second');
  assert.is(groups, 'data\nrhel\n');
  assert.is(impostors, 'IMPOSTOR=SECOND FIRST VG=rhel\n');
});

lvm('a copy, while the configured filter accepts each of its links', () => {
  const { groups } = tell('dd if=$first of=$second bs=1M status=none', false, '"a|.*|"');
  assert.is(groups, 'data\nrhel\n');
});

lvm('not a member of the sealed group', () => {
  const both =
    '--driverloaded n --config "devices { global_filter=[\\"a|^$first$|\\",\\"a|^$second$|\\",\\"r|.*|\\"] }"';
  const { groups, impostors } = tell(`lvm pvcreate ${both} $second; lvm vgextend ${both} rhel $second`);
  assert.is(groups, 'data\nrhel\nrhel\n');
  assert.is(impostors, '');
});

lvm('newer metadata of the sealed group, with a volume elsewhere, behind another signature', () => {
  // The signature of BlueStore is in the first sector, the label of LVM in the second one.
  const make = `
copy=$(attach copy)
only lvcreate $first -an -Zn -Wn -n opt -l 1 rhel
dd if=$first of=$copy bs=1M status=none
both() { lvm "$1" --driverloaded n --config "devices { global_filter=[\\"a|^$copy$|\\",\\"a|^$second$|\\",\\"r|.*|\\"] }" "\${@:2}"; }
both pvcreate $second; both vgextend rhel $second
both lvremove -y rhel/opt; both lvcreate -an -Zn -Wn -n opt -l 1 rhel $second
losetup -d $copy
`;
  const sign = `printf 'bluestore block device\\n' | dd of=$second conv=notrunc status=none
! blkid --probe $second | grep LVM2_member`;
  const { groups, impostors, volumes } = tell(`${make}${sign}`, true);
  assert.is(volumes?.trim(), 'opt  FIRST(0)');
  assert.is(groups, 'data\nrhel\n');
  assert.is(impostors, 'IMPOSTOR=SECOND FIRST VG=rhel\n');
});

lvm.run();
