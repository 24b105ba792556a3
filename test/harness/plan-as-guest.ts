/** Prints the plan of `prepare` as JSON, without the reader of an image and without the test whether this is a guest. */
import fs from 'node:fs';
import { noSettings } from '../../agent/prepare/engine/step.ts';
import { planGuest } from '../../agent/prepare/prepare.ts';
import { systemReader } from '../../agent/system/reader.ts';

const system = systemReader();
/** As if the kernel showed its files itself: they are mounts of files of the test. */
const shown = ['/proc/meminfo', '/proc/cmdline', '/proc/swaps'];
const read = (file: string, limit?: number) =>
  shown.includes(file) ? fs.readFileSync(file, 'latin1') : system.read(file, limit);
const plan = await planGuest(
  {
    ...system,
    read,
    readIfPresent: (file, limit) => (shown.includes(file) ? read(file) : system.readIfPresent(file, limit)),
  },
  noSettings,
  new Set(['etc', 'var', 'writes', 'boot']),
);
console.log(JSON.stringify(plan));
