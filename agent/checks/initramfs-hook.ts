import { version } from '../lib/version.ts';
import { unwrap } from '../facts/observed.ts';
import { bootEnvFile } from '../facts/boot/boot-env.ts';
import type { Check } from './check.ts';

/** It keeps the old image until the new one is whole, which dracut --regenerate-all does not. */
const remedy = 'While the disk is writable: immutafs-agent prepare --apply --only initramfs.';

/** The initramfs that started this boot holds our hook, of this version. */
export const initramfsHook: Check = {
  id: 'initramfs-hook',
  severity: 'advisory',
  seal: false,
  messageId: '3d7db89b2be84e1889d705f5d7688287',
  documentation: {
    title: "the initramfs holds this version's hook",
    means:
      "The boot's hand-off, /run/immutafs/boot.env, was begun in the initramfs by the version of the agent that is installed.",
    why: 'Without the hook, /var is assembled late, after some programs have begun to use it. An old hook may not do what this version expects.',
    fix: remedy,
  },
  evaluate: (facts) => {
    const bootEnv = unwrap(facts.bootEnv);
    const subject = 'initramfs';
    const expected = `the hook of ${version}`;
    if (bootEnv?.stage !== 'initramfs') {
      const observed =
        bootEnv === undefined
          ? `no ${bootEnvFile}: the hook did not run`
          : 'no hook: late boot decided the mode';
      return { status: 'warn', subject, expected, observed, remedy };
    }
    const observed = `the hook of ${bootEnv.version}`;
    const status = bootEnv.version === version ? 'pass' : 'warn';
    return { status, subject, expected, observed, remedy: status === 'pass' ? '' : remedy };
  },
};
