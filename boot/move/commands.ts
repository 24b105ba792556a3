import { type Command, NO, YES, absolute } from '../guest/command.ts';
import { abandonMove, beginMove, endMove } from './boot.ts';
import { makeDirectory, makeView, mountVolume } from './mounts.ts';

/** The commands that move data to another disk: in the boot that does this, and for the agent. */
export const moveCommands: Readonly<Record<string, Command>> = {
  'move-begin': {
    args: '',
    does: 'Run by immutafs-move-begin.service: counts this boot in /etc/immutafs/move-at-boot. If three boots have ended without having removed this file, it is removed instead, and boots are ordinary again.',
    exit: '0: counted; 1: the file was removed',
    seconds: 60,
    run: (context) => ({ code: beginMove(context) ? YES : NO, output: '' }),
  },
  'move-end': {
    args: '',
    does: 'Run by immutafs-move-end.service: reboots. If this boot could not be counted, because / is not writable, the reboot would lead here again: the ordinary units start instead.',
    exit: '0: systemd reboots or starts the ordinary units',
    // Longer than its programs together.
    seconds: 115,
    run: (context) => {
      endMove(context);
      return { code: YES, output: '' };
    },
  },
  'move-abandon': {
    args: '',
    does: 'Run by emergency.service in a boot that moves data, because a file system could not be mounted: removes the file, and reboots.',
    exit: '0: systemd reboots',
    seconds: 90,
    run: (context) => {
      abandonMove(context);
      return { code: YES, output: '' };
    },
  },
  'make-directory': {
    args: 'PATH [LIKE]…',
    does: 'Run by the agent while it moves data: makes a directory, unless it exists, that only root can enter; with LIKE, a directory with the owner, mode, SELinux label and access control lists of the directory LIKE.',
    exit: '0: made',
    seconds: 60,
    run: (context, [path = '', like]) => {
      makeDirectory(context, absolute(path), like);
      return { code: YES, output: '' };
    },
  },
  view: {
    args: 'OPTIONS DIRECTORY PATH',
    does: 'Run by the agent while it moves data: binds a directory to the new directory PATH, with these mount options.',
    exit: '0: mounted',
    seconds: 60,
    run: (context, [options = '', directory = '', path = '']) => {
      makeView(context, options, absolute(directory), absolute(path));
      return { code: YES, output: '' };
    },
  },
  volume: {
    args: 'OPTIONS TYPE DEVICE PATH',
    does: 'Run by the agent while it moves data: mounts the file system on a device on the new directory PATH.',
    exit: '0: mounted',
    // The log of the file system may have to be replayed.
    seconds: 600,
    run: (context, [options = '', type = '', device = '', path = '']) => {
      mountVolume(context, { options, type, device }, absolute(path));
      return { code: YES, output: '' };
    },
  },
};
