import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertFailing, editFile, statusOf, checkOf, withAgent } from '../harness/scenario.ts';

const broken = suite('a guest with something wrong in it');

/** Each breaks one thing in the running guest, asks, and mends it. */
const live = {
  'tmp-options': ['mount -o remount,exec /tmp', 'mount -o remount,noexec /tmp'],
  'home-options': ['mount -o remount,suid /home', 'mount -o remount,nosuid /home'],
};

broken('what is changed in the running guest is found, and nothing else; mended, it passes again', () =>
  withAgent({}, async (guest) => {
    const status = 'immutafs-agent status --json';
    const steps = Object.fromEntries(
      Object.entries(live).map(([id, [breakIt = '', mend = '']]) => [
        id,
        `${breakIt} || exit 99; ${status}; code=$?; ${mend} || exit 98; exit $code`,
      ]),
    );
    const boot = await guest.boot({ disk: 'readonly', steps: { before: status, ...steps, after: status } });
    assertFailing(boot, 'before', [], 0);
    for (const id of Object.keys(live)) assertFailing(boot, id, [id]);
    assertFailing(boot, 'after', [], 0);
  }),
);

broken('what is wrong on the disk is found: /tmp without noexec, /home without nosuid, mtab a file', () =>
  withAgent({ edit: breakDisk }, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', steps: { status: 'immutafs-agent status --json' } });
    assertFailing(boot, 'status', ['home-options', 'tmp-options', 'mtab-link']);
    const { report } = statusOf(boot);
    assert.match(checkOf(report, 'tmp-options').remedy, /noexec/);
    assert.match(checkOf(report, 'home-options').remedy, /nosuid/);
    assert.match(checkOf(report, 'mtab-link').remedy, /ln /);
  }),
);

async function breakDisk(root: string): Promise<void> {
  await editFile(join(root, 'etc/fstab'), (text) =>
    text.replace(/^(tmpfs \/tmp .*)noexec,/m, '$1').replace(/^(\S+ \/home .*),nosuid/m, '$1'),
  );
  await rm(join(root, 'etc/mtab'));
  await writeFile(join(root, 'etc/mtab'), '/dev/vda1 / ext4 rw 0 0\n');
}

broken.run();
