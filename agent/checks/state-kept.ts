import { formatBytes, shortList } from '../lib/format.ts';
import { unwrap } from '../facts/observed.ts';
import type { ResetState } from '../facts/reset-state.ts';
import type { Check } from './check.ts';

/** Verifies that no service has written state that the next reboot resets without a decision of an administrator. */
export const stateKept: Check = {
  id: 'state-kept',
  severity: 'advisory',
  seal: true,
  messageId: 'b97d715e158e40499d7a92697e35c4dc',
  documentation: {
    title: 'no service loses state at the next reboot',
    means:
      'The check reads the upper layers of /var and of the paths of OVERLAY, which the next reboot resets. It warns about files that may be state: data, queues, keys, registrations. Caches, logs, leases, package databases and other files that a service can do without are left out, as are paths that an administrator accepted (/etc/immutafs/accepted-writes). At most 20,000 entries are read.',
    why: 'What a service keeps below /var is lost at every reboot, unless it is in PERSIST or on a file system of its own.',
    fix: 'List what would be lost with `immutafs-agent changes --state`. Copy what is needed to another host before the reboot. While the disk is writable, run `immutafs-agent prepare --only state` and decide: keep the directory with PERSIST, or accept the loss with --accept.',
    page: 'prepare.md',
  },
  evaluate: ({ resetState }) => {
    const { list, isComplete } = unwrap(resetState);
    const expected = 'only what may be lost is reset at the reboot';
    const [first] = list;
    if (first === undefined) {
      const observed = isComplete
        ? 'nothing undecided was written'
        : 'nothing undecided in the entries that were read';
      return { status: 'pass', expected, observed };
    }
    return {
      status: 'warn',
      subject: shortList(list.flatMap(({ directories }) => directories)),
      expected,
      observed: `a reboot would lose: ${shortList(list.map(describe), ', ')}`,
      remedy:
        'List it with `immutafs-agent changes --state`; keep it with PERSIST or accept the loss: `immutafs-agent prepare --only state` in maintenance mode.',
    };
  },
};

function describe({ service, directories, files, bytes }: ResetState): string {
  const size = `${formatBytes(bytes)} in ${files} ${files === 1 ? 'file' : 'files'}`;
  return service === undefined ? `${directories[0] ?? ''} (${size})` : `${service.name} (${size})`;
}
