import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runInSandbox } from '../shell/sandbox.ts';

/**
 * Runs `immutafs-boot lvm-config` with this machine's lvm and three physical volumes, of which the first is sealed.
 *
 * @param others lines of sh that make a volume group on the second physical volume, $second
 */
function tell(others: string): Record<string, string> {
  const { code, out, stderr } = runInSandbox({
    shell: ['dash'],
    devices: [],
    files: {
      'etc/lvm/lvm.conf':
        'backup { backup=0 archive=0 }\nactivation { udev_sync=0 udev_rules=0 }\ndevices { use_devicesfile=0 }\n',
      'etc/lvm/lvmlocal.conf': 'devices {\n\tglobal_filter = [ "r|/dev/sr.*|" ]\n}\n',
    },
    run: `
mount -t sysfs sys /sys
export LVM_SUPPRESS_FD_WARNINGS=1
mkdir -p /dev/block/immutafs; mount -t tmpfs x /dev/block/immutafs; mkdir /dev/block/immutafs/{lvm,unsealed-lvm,by-uuid}
attach() { truncate -s 32m "/$1"; losetup -f --show "/$1"; }
only() { lvm "$1" --driverloaded n --config "devices { global_filter=[\\"a|^$2$|\\",\\"r|.*|\\"] }" "\${@:3}"; }
uuid() { set -- $(only pvs "$1" --noheadings -o pv_uuid 2>/dev/null); echo "$1"; }
first=$(attach first) second=$(attach second) third=$(attach third)
set -e
only pvcreate $first $first; only vgcreate $first rhel $first
only pvcreate $third $third; only vgcreate $third data $third
${others}
set +e
ln -s $first /dev/block/immutafs/lvm/; ln -s $second $third /dev/block/immutafs/unsealed-lvm/
ln -s $first /dev/block/immutafs/by-uuid/$(uuid $first)
mkdir -p /run/udev/data
for device in $second $third; do
  printf 'E:ID_FS_TYPE=LVM2_member\\nE:ID_FS_UUID_ENC=%s\\n' $(only pvs $device --noheadings -o pv_uuid $device 2>/dev/null) >/run/udev/data/b$(cat /sys/class/block/\${device##*/}/dev)
done
/usr/libexec/immutafs/immutafs-boot lvm-config
code=$?
lvm pvs --driverloaded n --noheadings -o vg_name 2>/dev/null | tr -d ' ' | sort >/out/groups
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

lvm('not a member of the sealed group', () => {
  const both =
    '--driverloaded n --config "devices { global_filter=[\\"a|^$first$|\\",\\"a|^$second$|\\",\\"r|.*|\\"] }"';
  const { groups, impostors } = tell(`lvm pvcreate ${both} $second; lvm vgextend ${both} rhel $second`);
  assert.is(groups, 'data\nrhel\nrhel\n');
  assert.is(impostors, '');
});

lvm.run();
