import { configFile } from '../../agent/config/parse.ts';
import { NO, YES, type Command, hasWord, hasWords, absolute } from '../guest/command.ts';
import { readConfig } from '../guest/config.ts';
import { keepSelinuxDomain } from '../guest/selinux.ts';
import { codes } from '../initramfs/endings.ts';
import { saveReport } from '../rehearsal/save.ts';
import { selectDropins } from './dropins.ts';
import { labelState } from './label-state.ts';
import { bootLate, labelMounts } from './late.ts';
import { mountSession } from './session-mounts.ts';

/** The commands that one unit each, the agent or the package runs in the real root. */
export const rootCommands: Readonly<Record<string, Command>> = {
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
    args: 'FOLDER SIZE [install|load-policy]…',
    does: 'Run by run-session in the mount namespace of a session: mounts a tmpfs of this size on the directory `layers` in the folder of the session, and overlays on /etc and, with `install`, on the directories that package managers write to. Without `load-policy`, no program of the session can load an SELinux policy.',
    exit: '0: mounted',
    seconds: 50,
    run: (context, [folder = '', size = '', ...words]) => {
      const [installs, loadsPolicy] = hasWords(words, 'install', 'load-policy');
      keepSelinuxDomain(context);
      mountSession(context, absolute(folder), size, { installs, loadsPolicy });
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
