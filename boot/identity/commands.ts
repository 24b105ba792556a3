import { onFile } from '../../agent/lib/errors.ts';
import { isOff } from '../guest/boot-state.ts';
import { type Command, YES, early, NO } from '../guest/command.ts';
import { type Disks, disksOfDevice, hasReadOnlyPath, wordOf } from '../guest/disks.ts';
import { differingTargetOf } from '../native/device-mapper.ts';
import { configureLvm } from './lvm-config.ts';
import { mayJoin } from './members.ts';
import { mountFromFstab, mountRoot } from './mount-readonly.ts';

/** The commands that tell which disks are sealed, and mount from these disks. */
export const identityCommands: Readonly<Record<string, Command>> = {
  udev: {
    args: 'NAME',
    does: 'Prints the properties IMMUTAFS_SEALED and IMMUTAFS_READ_ONLY of a block device, each 0 or 1, for udev, and IMMUTAFS_OFF=1 with the kernel argument immutafs=off. Sets a device-mapper device read-only if all disks below it are.',
    exit: '0: printed',
    seconds: 20,
    run: ({ native, reader }, [name = '']) => {
      const directory = `/sys/class/block/${name}`;
      const { state } = disksOfDevice(reader, directory);
      // device-mapper takes its flag from the table and not from the disks (drivers/md/dm-table.c), and XFS would write its
      // log even for a read-only mount.
      if (name.startsWith('dm-') && (state !== 'writable' || hasReadOnlyPath(reader, directory)))
        onFile(`/dev/${name}`, () => native.setReadOnly(`/dev/${name}`));
      const off = isOff(reader) ? 'IMMUTAFS_OFF=1\n' : '';
      return {
        code: YES,
        output: `IMMUTAFS_SEALED=${state === 'sealed' ? 1 : 0}\nIMMUTAFS_READ_ONLY=${state === 'writable' ? 0 : 1}\n${off}`,
      };
    },
  },
  'may-join': {
    args: 'NAME UUID',
    does: 'Tells whether a device may be a member of its md array: not if it is on a writable disk, and all members are on sealed disks. UUID is ID_FS_UUID_ENC of udev.',
    exit: '0: it may; 1: it may not',
    seconds: 20,
    run: ({ reader }, [name = '', uuid = '']) => ({
      code: mayJoin(reader, name, uuid) ? YES : NO,
      output: '',
    }),
  },
  disks: {
    args: 'DIRECTORY',
    does: 'Prints, for the block device with a directory of sysfs, in a line each: its kernel name; the names of the device and of all devices below it; the disks below it, each as NAME:READ-ONLY:EVIDENCE; and whether it is sealed, read-only or writable.',
    exit: '0: printed',
    seconds: 20,
    run: ({ reader }, [directory = '']) => ({
      code: YES,
      output: format(disksOfDevice(reader, directory)),
    }),
  },
  tables: {
    args: '[MAJOR:MINOR…]',
    does: 'Prints a line for each device-mapper device, or each given device: its number and, if its content may differ from that of the devices below it, the type of the first target for which this is so.',
    exit: '0: there is no such device; 1: there is one',
    seconds: 20,
    run: ({ native }, devices) => {
      const all = devices.length > 0 ? devices : onFile('/dev/mapper/control', native.mapped);
      const targets = all.map((device) => [device, differingTargetOf(native, device)] as const);
      return {
        code: targets.every(([, target]) => target === '') ? YES : NO,
        output: targets.map(([device, target]) => `${device}${target === '' ? '' : ' '}${target}\n`).join(''),
      };
    },
  },
  'mount-root': {
    args: '',
    does: 'In the initramfs: mounts the root at /sysroot, and its /usr, read-only, if they are on read-only disks, and if necessary without replaying the log.',
    exit: '0: mounted, or left to systemd',
    // Below the limit of immutafs-root.service, and longer than the waits for udev: four for the root and four for /usr.
    seconds: 770,
    run: (context) => {
      mountRoot(early(context));
      return { code: YES, output: '' };
    },
  },
  'mount-readonly': {
    args: 'TARGET',
    does: 'Run by immutafs-mount@.service: does the same for the file system that fstab mounts on TARGET.',
    exit: '0: mounted, or left to systemd',
    seconds: 55,
    run: (context, [target = '']) => {
      mountFromFstab(context, target);
      return { code: YES, output: '' };
    },
  },
  'lvm-config': {
    args: '',
    does: 'In the initramfs, before LVM activates volumes: makes LVM activate the groups on read-only SCSI disks read-only, and ignore the physical volumes that pose as sealed ones.',
    exit: '0: configured, or nothing to do',
    seconds: 150,
    run: (context) => {
      configureLvm(early(context));
      return { code: YES, output: '' };
    },
  },
};

function format({ name, stack, disks, state }: Disks): string {
  return `${name}\n${stack.join(' ')}\n${disks.map(wordOf).join(' ')}\n${state}\n`;
}
