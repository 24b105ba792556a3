import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { planGuest } from '../../../../../agent/prepare/prepare.ts';
import { withGuest } from '../../../../harness/guest.ts';
import { goodImage } from '../../../../harness/ordinary-guest.ts';
import { noSettings } from '../../../../../agent/prepare/engine/step.ts';
import { guestWith } from '../../../../harness/step-table.ts';

const kernel = '3.10.0-1160.el7.x86_64';
const image = `boot/initramfs-${kernel}.img`;

const kernels = suite('isOlderThanModules');
kernels('newer modules count; modules of the same age or of a wrong clock do not', async () => {
  const modules = `usr/lib/modules/${kernel}/modules.dep`;
  for (const [made, written, state] of [
    ['2026-03-01', '2026-03-02', 'needed'],
    ['2026-03-01', '2026-03-01', 'done'],
    ['2026-03-02', '2026-03-01', 'done'],
    ['2026-03-01', '2027-01-01', 'done'],
  ] as const) {
    await withGuest(guestWith({ [image]: goodImage(), [modules]: '' }), async (reader, root) => {
      for (const [file, day] of [
        [image, made],
        [modules, written],
      ] as const) {
        fs.utimesSync(path.join(root, file), new Date(day), new Date(day));
      }
      const { steps } = await planGuest(reader, noSettings, new Set(['initramfs']));
      assert.is(steps[0]?.state, state, `${made} ${written}`);
      const why = `/${image} is older than the modules of ${kernel}.`;
      if (state === 'needed') assert.equal(steps[0]?.why, [why]);
    });
  }
});
kernels.run();
