import { shortList } from '../lib/format.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Verifies that each path of PERSIST is a directory of the store on the data disk. */
export const persistedPaths: Check = {
  id: 'persisted-paths',
  severity: 'required',
  seal: false,
  messageId: '701b42c74d244257a309c75edb44e7cb',
  documentation: {
    title: 'every path of PERSIST is kept on the data disk',
    means:
      'According to the mount table, each path of PERSIST is a mount of its directory in PERSIST_STORE, writable, and with nosuid, nodev and noexec unless the options of the path permit otherwise. For a path that is not kept, the check reports why, as the boot recorded it in /run/immutafs/persisted. The check does not read the content of the store. It also runs in maintenance mode; in the mode off, nothing is kept. A path with autostart and without maintenance must not be mounted in maintenance or in a rehearsal: root in an earlier sealed boot may have written what starts from it, and could change the system disk permanently while it is writable.',
    why: 'What programs write to a path that is not kept is lost at the next boot, or is on the system disk in maintenance and not in the store.',
    fix: 'Follow the instruction for the path, and reboot. `immutafs-agent check --ready-to-seal` names paths that cannot be kept before the guest is sealed.',
    page: 'writable-paths.md',
  },
  evaluate: (facts) => {
    const expected = 'mounted from PERSIST_STORE';
    if (facts.persist.length === 0) {
      return { status: 'skip', observed: 'PERSIST is empty' };
    }
    const found = unwrap(facts.persisted);
    if (found.length === 0) {
      const observed = `nothing is kept in mode ${facts.mode.mode}`;
      return { status: 'skip', observed };
    }
    const failed = found.filter(({ state }) => state === 'failed');
    if (failed.length > 0) {
      return {
        status: 'fail',
        subject: shortList(failed.map((each) => each.path)),
        expected,
        observed: shortList(
          failed.map(({ path, reason }) => `${path}: ${reason}`),
          '; ',
        ),
        remedy: shortList(failed.map(({ path, remedy }) => `${path}: ${remedy}`)),
      };
    }
    const notes = found.filter(({ reason }) => reason !== '').map(({ path, reason }) => `${path}: ${reason}`);
    const isKept = found.some(({ state }) => state === 'kept');
    return {
      status: 'pass',
      subject: shortList(found.map((each) => each.path)),
      expected,
      observed: shortList([...(isKept ? [`kept in ${facts.config.PERSIST_STORE}`] : []), ...notes], '; '),
    };
  },
};
