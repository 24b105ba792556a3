import type { DiskFixture } from '../harness/sysfs.ts';

/**
 * A disk that the host made read-only; the root is on vda. The device nodes are block devices of this machine, see
 * `links`.
 */
export const vdb: DiskFixture = {
  ...{ name: 'vdb', device: '252:16', bus: 'virtio-blk', offered: true },
  partitions: { vdb1: '252:17', vdb2: '252:18' },
};
/** The disk of the root. @param offered whether the host made it read-only */
export const vda = (offered: boolean): DiskFixture => ({
  ...{ name: 'vda', device: '252:0', bus: 'virtio-blk', offered },
  partitions: { vda1: '252:1', vda2: '252:2' },
});
export const vdc: DiskFixture = {
  name: 'vdc',
  device: '252:32',
  bus: 'virtio-blk',
  partitions: { vdc2: '252:34' },
};

/**
 * Returns lines of bash that make udev links to vdb1 and vdb2, whose nodes are loop6 and loop7, and collect writes to
 * the kernel log in /out/kmsg.
 * @param names links below /dev/block/immutafs, each as "LINK" for a link to loop7, or as "LINK NODE"
 */
export const links = (...names: string[]) => `
  mkdir -p /dev/block/immutafs; mount -t tmpfs x /dev/block/immutafs
  touch /out/kmsg; mount --bind /out/kmsg /dev/kmsg
  ln -s "$(readlink /sys/class/block/vdb1)" /sys/class/block/loop6
  ln -s "$(readlink /sys/class/block/vdb2)" /sys/class/block/loop7
  ${names
    .map((name) => {
      const [link = '', node = '/dev/loop7'] = name.split(' ');
      return `mkdir -p "/dev/block/immutafs/${link.replace(/[^/]*$/, '')}"; ln -s ${node} "/dev/block/immutafs/${link}"`;
    })
    .join('\n')}`;

export const cmdline = (text: string) => ({ 'proc/cmdline': `${text}\n` });
