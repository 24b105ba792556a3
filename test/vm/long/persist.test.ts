import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withDataDisk } from '../harness/data-disk.ts';
import { threePaths, withPaths } from '../harness/persisted-paths.ts';
import { type Boot, checkOf, layout, look, statusOf, withAgent } from '../harness/scenario.ts';

/** Boots with the data disk are tested in `matrix/persist.test.ts`. */
const keep = suite('PERSIST without a writable data disk');

const onDebian12 = layout({ release: 'bookworm' });

keep(
  'the disk is absent, or read-only: nothing is kept, and the guest uses the content of the sealed disk',
  () =>
    withDataDisk(async (drive) =>
      withAgent({ layout: onDebian12, edit: threePaths }, async (guest) => {
        for (const [drives, reason] of [
          [[], 'the file system of PERSIST_STORE at /data is not mounted'],
          [[{ ...drive, readOnly: true }], 'the disk vdd of /data is read-only'],
        ] as const) {
          const steps = { ...look, ...withPaths, 'write-var': 'touch /var/lib/other' };
          const boot = await guest.boot({ disk: 'readonly', drives: [...drives], steps });
          assertNotKept(boot, reason);
        }
      }),
    ),
);

function assertNotKept(boot: Boot, reason: string): void {
  const { report } = statusOf(boot);
  const { status, subject, observed, remedy } = checkOf(report, 'persisted-paths');
  assert.is(status, 'fail');
  assert.is(subject, '/var/lib/keys /opt/agent /var/lib/link');
  assert.match(observed, `/var/lib/keys: ${reason}`);
  assert.match(remedy, '/opt/agent: ');
  assert.is(boot.endedBy, 'poweroff');
  assert.is(boot.step('write-var').exit, 0);
  assert.is(boot.step('content').stdout, 'disk\n');
  assert.is(boot.step('mounts').stdout, '');
  assert.is(boot.step('seen').stdout, 'disk\n', 'a unit that requires the path has started');
}

keep.run();
