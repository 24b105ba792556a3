import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  assertNothingFailed,
  assertSealed,
  checkOf,
  look,
  notPassed,
  statusOf,
  withAgent,
} from '../harness/scenario.ts';

const maintenance = suite('a disk that the host left writable');

/** As it comes: it asks for a relabelling at each boot without SELinux, for the day when that is switched on. */
const markingForRelabelling = (root: string): Promise<void> =>
  rm(join(root, 'etc/systemd/system/selinux-autorelabel-mark.service'));

maintenance('maintenance: what is written to /var and /usr is there at the next, sealed boot', () =>
  withAgent({ edit: markingForRelabelling }, async (guest) => {
    const write = 'echo kept >/var/lib/mark && echo kept >/usr/local/mark';
    const open = await guest.boot({ disk: 'writable', steps: { ...look, write, var: 'findmnt -n /var' } });
    const { exit, report } = statusOf(open);
    assert.equal(notPassed(report), []);
    assert.is(exit, 4);
    assert.is(report.mode, 'maintenance');
    assert.is(report.verdict, 'maintenance');
    assert.is(report.enforcement, 'none');
    assert.is(report.var.overlay, false);
    for (const id of ['root-readonly', 'host-enforced', 'var-overlay']) {
      assert.is(checkOf(report, id).status, 'skip', id);
    }
    assert.is(checkOf(report, 'home-options').status, 'pass');
    assert.is(open.step('var').stdout, '', '/var is the disk’s own');
    assert.is(open.step('write').exit, 0, open.step('write').stderr);
    assertNothingFailed(open);

    const read = 'cat /var/lib/mark /usr/local/mark';
    const shut = await guest.boot({ disk: 'readonly', steps: { ...look, read } });
    const sealed = assertSealed(shut);
    assert.match(checkOf(sealed, 'autorelabel-absent').observed, /^\/\.autorelabel exists; no effect/);
    assert.is(shut.step('read').stdout, 'kept\nkept\n');
  }),
);

maintenance('a failure of what still counts is a failure', () =>
  withAgent({}, async (guest) => {
    const breakHome = 'mount -o remount,exec /home; immutafs-agent status --json';
    const boot = await guest.boot({ disk: 'writable', steps: { status: breakHome } });
    const { exit, report } = statusOf(boot);
    assert.equal(notPassed(report), ['home-options']);
    assert.is(exit, 1);
    assert.is(report.mode, 'maintenance');
  }),
);

maintenance.run();
