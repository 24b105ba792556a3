import { version } from '../lib/version.ts';
import { unwrap } from '../facts/observed.ts';
import { bootEnvFile } from '../facts/boot/boot-env.ts';
import type { Check } from './check.ts';

/** Unlike dracut --regenerate-all, this command keeps the old image until the new image is complete. */
const remedy = 'While the disk is writable: immutafs-agent prepare --apply --only initramfs.';

/** Verifies that the initramfs of this boot contains the hook of this version. */
export const initramfsHook: Check = {
  id: 'initramfs-hook',
  severity: 'advisory',
  seal: false,
  messageId: '3d7db89b2be84e1889d705f5d7688287',
  documentation: {
    title: 'the initramfs contains the dracut hook of this version',
    means:
      'The boot record /run/immutafs/boot.env was written in the initramfs, by the installed version of the agent.',
    why: 'Without the hook, /var is assembled in late boot, after some programs have started to use it. The hook of another version may behave differently than this version expects.',
    fix: remedy,
    page: 'prepare.md',
  },
  evaluate: (facts) => {
    const bootEnv = unwrap(facts.bootEnv);
    const subject = 'initramfs';
    const expected = `the hook of ${version}`;
    if (bootEnv?.stage !== 'initramfs') {
      const observed =
        bootEnv === undefined
          ? `${bootEnvFile} does not exist: the hook did not run`
          : 'the hook did not run: late boot decided the mode';
      return { status: 'warn', subject, expected, observed, remedy };
    }
    const observed = `the hook of ${bootEnv.version}`;
    const status = bootEnv.version === version ? 'pass' : 'warn';
    return { status, subject, expected, observed, remedy: status === 'pass' ? '' : remedy };
  },
};
