import { readFileSync, statSync } from 'node:fs';
import { execa } from 'execa';
import { agentTree } from '../vm/harness/agent.ts';
import { withGuest } from '../vm/harness/guest.ts';
import { xfsOnLvm } from '../vm/harness/scenario.ts';
import { templateOf } from '../vm/harness/template.ts';
import type { Result } from './run.ts';
import { type Figure, figure } from './table.ts';

const guests = 4;

/** After the start of one guest. */
interface Start {
  /** How much of the image is in the page cache of the host, in MiB. */
  cached: number;
  /** How much was read meanwhile from the disk that has the image, in MiB. Other programs count, too. */
  read: number;
  /** From the start of QEMU to its end, in seconds. */
  seconds: number;
}

/** Compares the fourth guest that starts from one image with the first one, with and without the page cache of the host. */
export async function density(): Promise<Result> {
  const shared = await startAll(false);
  const direct = await startAll(true);
  return {
    about:
      'four guests with the same image, started one after the other, the image not being in the page cache at first.\n' +
      "Memory, reads of the host's disk and time of the fourth guest, against the first one.",
    control: 'first guest',
    figures: [...figures('writeback', shared, true), ...figures('none', direct, false)],
  };
}

function figures(cache: string, starts: readonly Start[], aimed: boolean): Figure[] {
  const [first, last] = [starts[0], starts.at(-1)];
  if (!first || !last) throw new Error('no guest started');
  const atMost = (limit: number): Figure['aim'] => (aimed ? { of: 'ratio', atMost: limit } : undefined);
  return [
    figure(`cache=${cache}: page cache`, 'MiB', last.cached, first.cached, atMost(1.1)),
    figure(`cache=${cache}: reads from the disk`, 'MiB', last.read, first.read, atMost(0.1)),
    figure(`cache=${cache}: boot and power-off`, 's', last.seconds, first.seconds, atMost(1.1)),
  ];
}

async function startAll(direct: boolean): Promise<Start[]> {
  const template = await templateOf(xfsOnLvm, await agentTree());
  const image = template.disks.images.system;
  // Writes nothing, and removes the file from the page cache (dd(1), nocache).
  await execa('dd', [`of=${image}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0']);
  const starts: Start[] = [];
  for (let count = 0; count < guests; count++) {
    const before = readOf(image);
    const { seconds, endedBy } = await withGuest({ template }, (guest) =>
      guest.boot({ disk: 'readonly', direct }),
    );
    if (endedBy !== 'poweroff') throw new Error(`the guest ended by ${endedBy}`);
    starts.push({ cached: await cachedOf(image), read: readOf(image) - before, seconds });
  }
  return starts;
}

const MiB = 1024 * 1024;

/** @returns how much of a file is in the page cache, in MiB (fincore(1)) */
async function cachedOf(file: string): Promise<number> {
  const { stdout } = await execa('fincore', ['--bytes', '--noheadings', '--output', 'RES', file]);
  return Number(stdout) / MiB;
}

/** @returns what was read since the boot from the block device of a file, in MiB (Documentation/block/stat.rst) */
function readOf(file: string): number {
  const { dev } = statSync(file);
  const device = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  const sectors = readFileSync(`/sys/dev/block/${device}/stat`, 'utf8').trim().split(/ +/)[2];
  return (Number(sectors) * 512) / MiB;
}
