import { UsageError } from '../agent/lib/errors.ts';
import { configFile } from '../agent/config/parse.ts';
import { type Command, NO, YES } from './command.ts';
import { readConfig } from './config.ts';
import { early, printToKernelLog } from './early.ts';
import { type Ending, checkIdentity } from './identity.ts';
import { configureLvm, writeLocalConfig } from './lvm-config.ts';
import { mountFromFstab, mountRoot } from './mount-readonly.ts';

/** The exit codes of a boot that must end. */
export const [IMPOSTOR_EMERGENCY, IMPOSTOR_POWEROFF] = [5, 6];

/** The commands that find impostors of the sealed disk, and mount the root from that disk. */
export const identityCommands: Readonly<Record<string, Command>> = {
  identity: {
    args: 'ROOT',
    does: 'In the initramfs: checks whether the root that is mounted at ROOT, and what is mounted below it, comes from the disk that the host made read-only. Prints a line for each warning.',
    exit: '0: it does, or there is no such disk; 5: it does not, or this is unknown, and ON_IMPOSTOR is emergency; 6: likewise, and ON_IMPOSTOR is poweroff',
    // Longer than the wait for udev.
    seconds: 300,
    run: (context, [root = '']) => {
      const boot = early(context);
      const ending = checkIdentity(boot, root.replace(/\/$/, ''));
      if (ending !== undefined) return { code: endBoot(boot, ending), output: '' };
      return { code: YES, output: boot.warnings.map((warning) => `${warning}\n`).join('') };
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
  'lvm-local': {
    args: 'ROOT MODE',
    does: 'In the initramfs: writes /run/immutafs/lvmlocal.conf, the LVM configuration for the root at ROOT.',
    exit: '0: written; 1: the root needs none',
    seconds: 20,
    run: (context, [root = '', mode = '']) => {
      if (mode === '') throw new UsageError('lvm-local needs a mode');
      const isNeeded = writeLocalConfig(early(context), root, mode === 'sealed');
      return { code: isNeeded ? YES : NO, output: '' };
    },
  },
};

/**
 * Reports why the boot ends. Reads the configuration in the initramfs, not that of the mounted root.
 * @returns the exit code
 */
function endBoot(boot: ReturnType<typeof early>, { target, mounted, why, remedy }: Ending): number {
  const { ON_IMPOSTOR } = readConfig(boot.reader, configFile).values;
  printToKernelLog(
    boot,
    `immutafs: ${target} is mounted from /dev/${mounted || 'unknown'}, ${why}. The boot ends (ON_IMPOSTOR=${ON_IMPOSTOR}). ${remedy} To boot from it anyway, add immutafs=off to the kernel command line.`,
  );
  return ON_IMPOSTOR === 'emergency' ? IMPOSTOR_EMERGENCY : IMPOSTOR_POWEROFF;
}
