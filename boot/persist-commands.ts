import { onFile, unlessSystemError } from '../agent/lib/errors.ts';
import { NO, YES, type Command, type Context } from './command.ts';
import { checkOnly, keep, keepAll, notKept, nothing, record } from './persist.ts';
import { readGuest, refusalOf, unlessRefused } from './persist-guest.ts';
import { checkExists, checkOrigin } from './persist-origin.ts';
import { fstabRefusal, pathRefusal, scratchRefusal } from './persist-rules.ts';
import { findRoot } from './persist-store.ts';

/** The commands for PERSIST, and those that tell what SCRATCH accepts. */
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
  'scratch-path': {
    args: 'PATH',
    does: "Run by mount-scratch: prints the disk's own directory of a path of SCRATCH; REASON= and REMEDY= if the path is refused.",
    exit: '0: accepted; 1: refused',
    seconds: 20,
    run: (context, [path = '']) => {
      const guest = readGuest(context, 'SCRATCH');
      let found = '';
      const { code, output } = answer(() => {
        unlessRefused(pathRefusal('SCRATCH', path));
        unlessRefused(fstabRefusal(guest.reader, 'SCRATCH', guest.fstab, path));
        unlessRefused(scratchRefusal(guest.config, path));
        const origin = checkOrigin(guest, path, { root: findRoot(guest), store: undefined, isNew: false });
        checkExists(guest, path, origin);
        found = `${origin.path}\n`;
      });
      return { code, output: `${output}${found}` };
    },
  },
};

/** Returns the answer of a command that checks a path. */
function answer(check: () => void): { code: number; output: string } {
  const refusal = refusalOf(check);
  return refusal === undefined
    ? { code: YES, output: '' }
    : { code: NO, output: `REASON=${refusal.reason}\nREMEDY=${refusal.remedy}\n` };
}

/**
 * Keeps the programs that this one runs in its SELinux domain. Children inherit the context in attr/exec and run their programs in
 * it (selinux(8)).
 */
function keepSelinuxDomain({ native, reader }: Context): void {
  if (reader.stat('/sys/fs/selinux/enforce') === undefined) return;
  unlessSystemError(() => {
    const [context = ''] = reader.read('/proc/self/attr/current').split(/[\0\n]/);
    onFile('/proc/self/attr/exec', () => native.write('/proc/self/attr/exec', context));
  });
}
