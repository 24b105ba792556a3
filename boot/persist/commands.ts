import { NO, YES, type Command, answer } from '../guest/command.ts';
import { readGuest } from '../guest/guest.ts';
import { keepSelinuxDomain } from '../guest/selinux.ts';
import { refusalOf } from '../native/refusal.ts';
import { checkOnly, keep, keepAll, notKept, nothing, record } from './persist.ts';

/** The commands for PERSIST. */
export const persistCommands: Readonly<Record<string, Command>> = {
  persist: {
    args: 'STORE MOUNT-POINT [PATH[:OPTION,OPTION]…] [-- PATH…]',
    does: 'Run by immutafs-persist.service: mounts the directories of PERSIST from STORE, which is PERSIST_STORE; fstab mounts its file system on MOUNT-POINT. Either is "-" if there is none. The paths after "--" cannot be kept according to the configuration.',
    exit: '0: each path is mounted, or its own service has run',
    // Longer than the limit for all paths together.
    seconds: 700,
    run: (context, [store = '', mountPoint = '', ...items]) => {
      const end = items.indexOf('--');
      const kept = end === -1 ? items : items.slice(0, end);
      const empty = (word: string) => (word === '-' ? '' : word);
      keepSelinuxDomain(context);
      const config = { PERSIST: kept.join(' '), PERSIST_STORE: empty(store) };
      keepAll(
        readGuest(context, 'PERSIST', config),
        empty(mountPoint),
        end === -1 ? [] : items.slice(end + 1),
      );
      // For a path that cannot be kept, the service of this path fails.
      return { code: YES, output: '' };
    },
  },
  'persist-path': {
    args: 'PATH',
    does: 'Run by immutafs-persist@.service: keeps a path of PERSIST. The result is in /run/immutafs/persisted.',
    exit: '0: kept; 1: not kept, the path is as it would be without PERSIST',
    // Longer than the limits of the programs that it runs.
    seconds: 880,
    run: (context, [path = '']) => {
      keepSelinuxDomain(context);
      record(context, path, 'begun', nothing);
      let note = '';
      const failed = refusalOf(() => {
        note = keep(readGuest(context, 'PERSIST'), path);
      });
      record(context, path, failed === undefined ? 'kept' : 'failed', failed ?? { reason: note, remedy: '' });
      if (failed !== undefined) context.native.print(2, notKept(path, failed));
      return { code: failed === undefined ? YES : NO, output: '' };
    },
  },
  'persist-check': {
    args: 'PATH [OPTIONS…]',
    does: 'Run by the agent: prints REASON= and REMEDY= if a boot would not keep a path; with OPTIONS, as if PERSIST named the path with them.',
    exit: '0: it would; 1: it would not',
    seconds: 20,
    run: (context, [path = '', options]) => {
      const guest = readGuest(context, 'PERSIST');
      if (options !== undefined) {
        const item = `${path}${options === '' ? '' : `:${options}`}`;
        guest.config = { ...guest.config, PERSIST: `${item} ${guest.config.PERSIST}` };
      }
      return answer(() => checkOnly(guest, path));
    },
  },
};
