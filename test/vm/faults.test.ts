import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withInitramfs } from './harness/initramfs.ts';
import {
  assertFailing,
  assertSealed,
  checkOf,
  look,
  statusOf,
  varAndLogOnLvm,
  withAgent,
} from './harness/scenario.ts';

const faults = suite('a sealed boot in which something breaks');

/** The kernel refuses to load the overlay. */
const noOverlay = ['module_blacklist=overlay'];
const configure = (line: string) => (root: string) =>
  appendFile(join(root, 'etc/immutafs/immutafs.conf'), `${line}\n`);

const refuseTmpfs = `#!/bin/sh
case "$*" in *'-t tmpfs'*immutafs*) echo refused >&2; exit 32 ;; esac
exec /usr/bin/mount.original "$@"
`;

faults('no overlay, ON_FAILURE=degraded: up, /var read-only, ssh there, and status says why', () =>
  withAgent({}, async (guest) => {
    const steps = { ...look, ssh: 'systemctl is-active ssh', write: 'touch /var/lib/mark' };
    const boot = await guest.boot({ disk: 'readonly', arguments: noOverlay, steps });
    assert.is(boot.endedBy, 'poweroff');
    const { report, exit } = statusOf(boot);
    assert.is(exit, 1);
    assert.is(report.verdict, 'failed');
    const { status, observed } = checkOf(report, 'var-overlay');
    assert.is(status, 'fail');
    assert.match(observed, /the kernel has no overlay file system/);
    assert.is(boot.step('ssh').stdout, 'active\n');
    assert.match(boot.step('write').stderr, /Read-only file system/);
  }),
);

faults('no overlay, ON_FAILURE=emergency: the emergency shell of the initramfs', () =>
  withAgent({ edit: configure('ON_FAILURE=emergency') }, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', arguments: noOverlay });
    assert.is(boot.done, false);
    assert.match(boot.console, /ON_FAILURE=emergency/);
    assert.not.match(boot.console, /Welcome to Debian/);
  }),
);

faults('no overlay, ON_FAILURE=poweroff: off, and says why', () =>
  withAgent({ edit: configure('ON_FAILURE=poweroff') }, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', arguments: noOverlay });
    assert.is(boot.done, false);
    assert.is(boot.endedBy, 'poweroff');
    assert.match(boot.console, /ON_FAILURE=poweroff/);
  }),
);

faults('a hook that is broken, or an initramfs without it: assembled late, and said', () =>
  withInitramfs({ 'usr/libexec/immutafs/assemble-var': '#!/bin/sh\nif then\n' }, (bootFiles) =>
    withAgent({ layout: varAndLogOnLvm }, async (guest) => {
      const boot = await guest.boot({ disk: 'readonly', bootFiles, steps: look });
      const report = assertSealed(boot);
      assert.is(report.var.assembledBy, 'late');
      assert.is(checkOf(report, 'initramfs-hook').status, 'warn');
    }),
  ),
);

faults('a tmpfs that the initramfs is refused: assembled late, and the reason is kept', () =>
  withInitramfs(
    { 'usr/bin/mount': refuseTmpfs, 'usr/bin/mount.original': { copyOf: 'usr/bin/mount' } },
    (bootFiles) =>
      withAgent({}, async (guest) => {
        const steps = { ...look, env: 'cat /run/immutafs/boot.env' };
        const boot = await guest.boot({ disk: 'readonly', bootFiles, steps });
        const report = assertSealed(boot);
        assert.is(report.var.assembledBy, 'late');
        assert.match(boot.step('env').stdout, /^ERROR=mount failed: refused/m);
      }),
  ),
);

faults('a layer that fills: ENOSPC, the guest lives, var-usage warns and then fails', () =>
  withAgent({ edit: configure('VAR_SIZE=64m\nVAR_INODES=2000') }, async (guest) => {
    const fill = (share: number) =>
      `size=$(($(stat -f -c '%b*%S/1048576' /var))); dd if=/dev/zero of=/var/tmp/fill bs=1M count=$((size * ${share} / 100))`;
    const inodes = 'i=0; while mkdir /var/tmp/d$i; do i=$((i + 1)); [ $i -lt 3000 ] || exit 9; done';
    const steps = {
      ...{
        half: fill(50),
        before: look.status,
        most: fill(85),
        warn: look.status,
        all: fill(120),
        full: look.status,
      },
      ...{
        empty: 'rm /var/tmp/fill',
        after: look.status,
        inodes,
        out: look.status,
        alive: 'systemctl is-active ssh',
      },
    };
    const boot = await guest.boot({ disk: 'readonly', steps });
    assertFailing(boot, 'before', [], 0);
    const warned = statusOf(boot, 'warn');
    assert.is(checkOf(warned.report, 'var-usage').status, 'warn');
    assert.is(warned.exit, 0);
    assert.match(boot.step('all').stderr, /No space left on device/);
    assertFailing(boot, 'full', ['var-usage']);
    assertFailing(boot, 'after', [], 0);
    assert.match(boot.step('inodes').stderr, /No space left on device/);
    assertFailing(boot, 'out', ['var-usage']);
    assert.is(boot.step('alive').stdout, 'active\n');
  }),
);

faults.run();
