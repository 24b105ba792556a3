import { version } from '../version.ts';
import { seen } from '../observe/observed.ts';
import { handoffFile } from '../observe/handoff.ts';
import type { Check } from './check.ts';

/** The initramfs that started this boot holds our hook, of this version. */
export const initramfsHook: Check = {
  id: 'initramfs-hook',
  severity: 'advisory',
  seal: false,
  evaluate: (facts) => {
    const handoff = seen(facts.handoff);
    const subject = 'initramfs';
    const expected = `the hook of ${version}`;
    const remedy = 'While the disk is writable: dracut -f --regenerate-all.';
    if (handoff?.stage !== 'initramfs') {
      const observed =
        handoff === undefined ? `no ${handoffFile}: the hook did not run` : 'no hook: /var came late';
      return { status: 'warn', subject, expected, observed, remedy };
    }
    const observed = `the hook of ${handoff.version}`;
    const status = handoff.version === version ? 'pass' : 'warn';
    return { status, subject, expected, observed, remedy: status === 'pass' ? '' : remedy };
  },
};
