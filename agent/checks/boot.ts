import { version } from '../lib/version.ts';
import { unwrap } from '../facts/observed.ts';
import { bootEnvFile } from '../facts/boot/boot-env.ts';
import type { Check } from './check.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';

/** Unlike dracut --regenerate-all, this command keeps the old image until the new image is complete. */
const regenerate = 'While the disk is writable: immutafs-agent prepare --apply --only initramfs.';

export const initramfsHook: Check = {
  id: 'initramfs-hook',
  severity: 'advisory',
  messageId: '3d7db89b2be84e1889d705f5d7688287',
  subject: 'initramfs',
  expected: `the hook of ${version}`,
  evaluate: (facts) => {
    const bootEnv = unwrap(facts.bootEnv);
    if (bootEnv?.stage !== 'initramfs') {
      const observed =
        bootEnv === undefined
          ? `${bootEnvFile} does not exist: the hook did not run`
          : 'the hook did not run: late boot decided the mode';
      return { status: 'warn', observed, remedy: regenerate };
    }
    const observed = `the hook of ${bootEnv.version}`;
    return bootEnv.version === version
      ? { status: 'pass', observed }
      : { status: 'warn', observed, remedy: regenerate };
  },
};

export const rootLog: Check = {
  id: 'root-log',
  severity: 'advisory',
  seal: true,
  messageId: '3265a2cb2741449b9d7798128b702598',
  expected: 'mounted with a clean log',
  evaluate: (facts) => {
    const mounts = sealedMounts(facts);
    const dirty = mounts.filter(({ superOptions, options }) =>
      [...superOptions, ...options].some(isWithoutLog),
    );
    const subject = (dirty.length === 0 ? mounts : dirty).map(({ target }) => target).join(' ');
    if (dirty.length === 0) return { status: 'pass', subject, observed: 'clean' };
    const remedy = 'Boot once with the disk writable, shut down cleanly, and seal the disk again.';
    return { status: 'warn', subject, observed: 'sealed with a log that was not replayed', remedy };
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
