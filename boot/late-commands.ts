import { configFile } from '../agent/config/parse.ts';
import { UsageError } from '../agent/lib/errors.ts';
import { NO, YES, type Command, hasWord } from './command.ts';
import { readConfig } from './config.ts';
import { selectDropins } from './dropins.ts';
import { labelState } from './label-state.ts';
import { abandonMove, beginMove, endMove } from './move-boot.ts';
import { makeDirectory, makeView, mountVolume } from './move-mounts.ts';
import { saveReport } from './save-rehearsal.ts';
import { keepSelinuxDomain } from './selinux.ts';
import { mountSession } from './session-mounts.ts';

/** The commands that one unit each, the agent or the package runs in the real root. */
export const lateCommands: Readonly<Record<string, Command>> = {
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
  'save-rehearsal': {
    args: '[seal…]',
    does: 'Run by the agent in a rehearsal: copies /run/immutafs/rehearsal.json to /etc/immutafs/rehearsal/report.json on the system disk, which is mounted read-only. With `seal`, makes the file system read-only again if an earlier run was killed.',
    exit: '0: saved; 1: not saved; 2: the superblock could not be made read-only again',
    // Below TimeoutStopSec= of immutafs-rehearsal.service.
    seconds: 60,
    run: (context, [word]) => ({
      code: saveReport(context, hasWord(word, 'seal')),
      output: '',
    }),
  },
  'label-state': {
    args: '',
    does: 'Run by immutafs-forward-state.service and the package: gives the directory of FORWARD_STATE the SELinux type of /run/immutafs/forward.',
    exit: '0: done, or there was nothing to do',
    seconds: 55,
    run: (context) => {
      keepSelinuxDomain(context);
      labelState(context);
      return { code: YES, output: '' };
    },
  },
  'select-dropins': {
    args: '[reload…]',
    does: 'Run by the package when it is installed and when the package systemd is installed, upgraded or downgraded: selects the drop-ins of the units by the version of systemd. With `reload`, systemd reads its units again if it runs and a file has changed.',
    exit: '0: selected; 1: something failed',
    seconds: 200,
    run: (context, [word]) => ({
      code: selectDropins(context, hasWord(word, 'reload')) ? YES : NO,
      output: '',
    }),
  },
  'session-mounts': {
    args: 'FOLDER SIZE [install]…',
    does: 'Run by run-session in the mount namespace of a session: mounts a tmpfs of this size on the directory `layers` in the folder of the session, and overlays on /etc and, with `install`, on the directories that package managers write to.',
    exit: '0: mounted',
    seconds: 50,
    run: (context, [folder = '', size = '', word]) => {
      keepSelinuxDomain(context);
      mountSession(context, absolute(folder), size, hasWord(word, 'install'));
      return { code: YES, output: '' };
    },
  },
  'forwards-nothing': {
    args: '',
    does: 'Run by start-forwarder: tells whether FORWARD is empty, and the configuration has no error that the agent would report.',
    exit: '0: it is; 1: the agent must start',
    seconds: 20,
    run: ({ reader }) => {
      const { values, warnings } = readConfig(reader, configFile);
      const isIdle = values.FORWARD === '' && warnings.length === 0;
      const message = '<5>Forwarding ended: FORWARD is empty, the journal is lost at the end of this boot\n';
      return { code: isIdle ? YES : NO, output: isIdle ? message : '' };
    },
  },
};

function absolute(path: string): string {
  if (!path.startsWith('/')) throw new UsageError(`${path} is not an absolute path`);
  return path;
}
