import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Verifies that no other program makes the root read-only or mounts overlays over it. */
export const rivalsOff: Check = {
  id: 'rivals-off',
  severity: 'required',
  seal: false,
  messageId: 'd041640d4c264c5a90c47caffb76d9e6',
  documentation: {
    title: 'no other program makes the root read-only or overlays it',
    means:
      "In /etc/sysconfig/readonly-root neither READONLY nor TEMPORARY_STATE is yes. Neither the configuration nor the kernel command line enables overlayroot, systemd.volatile=, dracut's overlays (rd.overlay, rd.live.overlay.overlayfs), lockfs or fsprotect. / is not an overlay.",
    why: 'If two programs mount overlays over the same directories, their mounts hide each other, and the checks no longer examine the sealed file systems.',
    fix: 'While the disk is writable, disable the other program: set READONLY=no and TEMPORARY_STATE=no in /etc/sysconfig/readonly-root, set overlayroot="" in /etc/overlayroot.conf, or remove the argument of the program from the kernel command line.',
  },
  evaluate: ({ conflictingOverlays, mounts }) => {
    const root = mounts.serving('/')?.type;
    const found = [...unwrap(conflictingOverlays), ...(root === 'overlay' ? ['/ is an overlay'] : [])];
    const subject = 'other overlays';
    const expected = 'none';
    if (found.length === 0) return { status: 'pass', subject, expected, observed: expected };
    const remedy = 'Disable it while the disk is writable: see immutafs-agent status --explain rivals-off.';
    return { status: 'fail', subject, expected, observed: found.join('; '), remedy };
  },
};
