import { type Command, YES } from './command.ts';
import { early } from './early.ts';
import { configureLvm } from './lvm-config.ts';
import { mountFromFstab, mountRoot } from './mount-readonly.ts';

/** The commands that mount the root, and what fstab mounts from read-only disks. */
export const rootCommands: Readonly<Record<string, Command>> = {
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
