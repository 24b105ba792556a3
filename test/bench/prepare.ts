import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { inRoot, scratch } from '../../packaging/build/paths.ts';
import { agentTree } from '../vm/harness/agent.ts';
import { bootFilesIn } from '../vm/harness/kernel.ts';
import { prepareState, prepareWrites } from './prepare-searches.ts';
import { buildPrograms, inRuntime, seriesOf } from './programs.ts';
import type { Result } from './run.ts';
import type { Series } from './series.ts';
import { median, figure } from './table.ts';

/** Measures the time of planning for a guest with 100,000 files in /var and a gzip-compressed initramfs, as on EL7. */
export async function prepare(): Promise<Result> {
  const { agent, empty } = await buildPrograms();
  const tree = await agentTree();
  const { initramfs } = await bootFilesIn(join(tree, 'root/boot'), join(tree, 'vmlinux'));
  const image = join(scratch, 'bench/initramfs.img');
  await writeFile(image, gzipSync(await readFile(initramfs)));
  // The steps state and writes would search the disk of this machine. They are measured on a disk of their own.
  const commands = [[agent, 'prepare', '--skip', 'state', 'writes'], [empty]];
  const guest = ['sh', inRoot('test/bench/prepare-guest.sh'), join(tree, 'root'), image];
  // Fails unless the image was read and is valid. Otherwise, the benchmark would measure less than it claims.
  await inRuntime([...guest, agent, 'prepare', '--json', '--only', 'initramfs']);
  const [ours, control] = await inRuntime<[Series, Series]>([...guest, ...seriesOf(commands)]);
  return {
    about: `medians of ${ours.milliseconds.length} interleaved runs; 100,000 files in /var, one initramfs (gzip)`,
    control: 'empty program',
    figures: [
      figure('wall time', 'ms', median(ours.milliseconds), median(control.milliseconds), {
        of: 'value',
        atMost: 1000,
      }),
      figure('peak RSS', 'MiB', median(ours.kibibytes) / 1024, median(control.kibibytes) / 1024),
      figure('processes started', '', ours.processes, control.processes),
      ...prepareState(),
      ...prepareWrites(),
    ],
  };
}
