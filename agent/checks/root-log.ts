import type { AssessedFacts } from '../assess/assess.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import type { Check } from './check.ts';

/** Verifies that the file systems were cleanly unmounted before the disk was sealed. */
export const rootLog: Check = {
  id: 'root-log',
  severity: 'advisory',
  seal: true,
  messageId: '3265a2cb2741449b9d7798128b702598',
  documentation: {
    title: 'the file systems were cleanly unmounted before the disk was sealed',
    means:
      'According to the mount table, neither / nor a lower layer of /var is mounted with an option that disables log replay (norecovery, noload, nologreplay).',
    why: 'The log of a file system cannot be replayed on a read-only disk, so the boot mounts the file system without log replay. The last changes before the disk was sealed may then be missing or incomplete, without any error message.',
    fix: 'Have the host make the disk writable, boot once so that the log is replayed, shut down cleanly, and seal the disk again.',
  },
  evaluate: (facts) => {
    const mounts = sealedMounts(facts);
    const dirty = mounts.filter(({ superOptions, options }) =>
      [...superOptions, ...options].some(isWithoutLog),
    );
    const subject = (dirty.length === 0 ? mounts : dirty).map(({ target }) => target).join(' ');
    const expected = 'mounted with a clean log';
    if (dirty.length === 0) return { status: 'pass', subject, expected, observed: 'clean' };
    const remedy = 'Boot once with the disk writable, shut down cleanly, and seal the disk again.';
    return {
      status: 'warn',
      subject,
      expected,
      observed: 'sealed with a log that was not replayed',
      remedy,
    };
  },
};

function sealedMounts({ mounts, layers }: AssessedFacts): Mount[] {
  const lowers = layers.map(({ lower }) => lower);
  return ['/', ...lowers].flatMap((target) => {
    const mount = mounts.serving(target);
    return mount?.target === target ? [mount] : [];
  });
}

/** Whether an option disables log replay: xfs(5), ext4(5), btrfs(5). */
function isWithoutLog(option: string): boolean {
  return /^(norecovery|noload|nologreplay|rescue=(.*:)?(nologreplay|all)(:.*)?)$/.test(option);
}
