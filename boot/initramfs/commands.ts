import { UsageError } from '../../agent/lib/errors.ts';
import { type Command, YES } from '../guest/command.ts';
import { setMountOptions } from './early-mounts.ts';
import { codes } from './endings.ts';
import { bootInInitramfs } from './initramfs.ts';

/** The commands that decide the mode, and mount what the initramfs mounts. */
export const initramfsCommands: Readonly<Record<string, Command>> = {
  initramfs: {
    args: 'ROOT',
    does: 'Run by the hook of dracut: checks whether the root at ROOT comes from the disk that the host made read-only; decides the mode; in a sealed boot, mounts the overlays on /var and on the directories of OVERLAY. Records all this in /run/immutafs/boot.env.',
    exit: `${codes}; 12, 13: the system is, or may be, mounted from an impostor of the sealed disk, and ON_IMPOSTOR is emergency or poweroff`,
    // Longer than the wait for udev.
    seconds: 300,
    run: (context, [root = '']) => ({ code: bootInInitramfs(context, root.replace(/\/$/, '')), output: '' }),
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
