import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Nothing else on this guest makes its root read-only or puts layers over it. */
export const rivalsOff: Check = {
  id: 'rivals-off',
  severity: 'required',
  seal: false,
  messageId: 'd041640d4c264c5a90c47caffb76d9e6',
  documentation: {
    title: 'nothing else does this job',
    means:
      "Neither READONLY nor TEMPORARY_STATE is yes in /etc/sysconfig/readonly-root; overlayroot, systemd.volatile=, dracut's overlays (rd.overlay, rd.live.overlay.overlayfs), lockfs and fsprotect are not asked for; / is no overlay.",
    why: "Two programs that put layers over the same folders hide each other's, and what is sealed is then no longer what is checked.",
    fix: 'While the disk is writable, switch the other one off: READONLY=no and TEMPORARY_STATE=no in /etc/sysconfig/readonly-root, overlayroot="" in /etc/overlayroot.conf, or take its word off the kernel command line.',
  },
  evaluate: ({ conflictingOverlays, mounts }) => {
    const root = mounts.serving('/')?.type;
    const found = [...unwrap(conflictingOverlays), ...(root === 'overlay' ? ['/ is an overlay'] : [])];
    const subject = 'other layers';
    const expected = 'none';
    if (found.length === 0) return { status: 'pass', subject, expected, observed: expected, remedy: '' };
    const remedy = 'Switch it off while the disk is writable.';
    return { status: 'fail', subject, expected, observed: found.join('; '), remedy };
  },
};
