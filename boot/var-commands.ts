import { UsageError } from '../agent/lib/errors.ts';
import { type Command, YES } from './command.ts';
import { setMountOptions } from './early-mounts.ts';
import { bootInInitramfs } from './initramfs.ts';
import { bootLate, labelMounts } from './late.ts';
import { keepSelinuxDomain } from './selinux.ts';

const codes =
  '0: done, or nothing to do; 1: /var could not be assembled, and the boot continues (ON_FAILURE=degraded); 10, 11: likewise, and ON_FAILURE is emergency or poweroff';

/** The commands that decide the mode and assemble /var. */
export const varCommands: Readonly<Record<string, Command>> = {
  initramfs: {
    args: 'ROOT',
    does: 'Run by the hook of dracut: checks whether the root at ROOT comes from the disk that the host made read-only; decides the mode; in a sealed boot, mounts the overlays on /var and on the directories of OVERLAY. Records all this in /run/immutafs/boot.env.',
    exit: `${codes}; 12, 13: the system is, or may be, mounted from an impostor of the sealed disk, and ON_IMPOSTOR is emergency or poweroff`,
    // Longer than the wait for udev.
    seconds: 300,
    run: (context, [root = '']) => ({ code: bootInInitramfs(context, root.replace(/\/$/, '')), output: '' }),
  },
  late: {
    args: 'TARGET',
    does: 'Run by immutafs-var@.service: mounts the overlay on /var, a directory below it or a path of OVERLAY, just before systemd mounts it. If it does nothing, systemd mounts TARGET from fstab.',
    exit: `${codes}; this command has then requested the shell or the power-off from systemd, also after a fault that nobody planned; while it cannot, it does not end. 1 also for a path of OVERLAY`,
    // Longer than the limit of the process that mounts the overlay.
    seconds: 75,
    run: (context, [target = '']) => {
      keepSelinuxDomain(context);
      return { code: bootLate(context, target), output: '' };
    },
  },
  label: {
    args: '',
    does: 'Run by immutafs-var.service: sets the SELinux labels of the mounts that the initramfs made.',
    exit: '0: set',
    seconds: 55,
    run: (context) => {
      labelMounts(context);
      return { code: YES, output: '' };
    },
  },
  options: {
    args: 'OPTIONS PATH',
    does: 'Run by immutafs-mount-options@.service: adds options to the mount at a path; exec removes noexec. A directory that is not a mount point becomes one. A path that does not exist is skipped.',
    exit: '0: set',
    seconds: 55,
    run: (context, [options = '', path = '']) => {
      if (!path.startsWith('/')) throw new UsageError('options needs an absolute path');
      setMountOptions(context, path, options.split(','));
      return { code: YES, output: '' };
    },
  },
};
