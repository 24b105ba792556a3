import { buildPrograms } from './programs.ts';
import type { Result } from './run.ts';
import { type Series, inRuntime } from './series-in-runtime.ts';
import { median } from './table.ts';

/** `immutafs-agent status` against an empty program of the same build. */
export async function status(): Promise<Result> {
  const { agent, empty } = await buildPrograms();
  const [ours, control] = (await inRuntime([[agent, 'status'], [empty]])) as [Series, Series];
  return {
    about: `medians of ${ours.milliseconds.length} interleaved runs on this machine; processes by strace`,
    control: 'empty program',
    figures: [
      {
        name: 'wall time',
        unit: 'ms',
        value: median(ours.milliseconds),
        control: median(control.milliseconds),
        aim: { of: 'ratio', atMost: 1.5 },
      },
      {
        name: 'peak RSS',
        unit: 'MiB',
        value: median(ours.kibibytes) / 1024,
        control: median(control.kibibytes) / 1024,
        aim: { of: 'value', atMost: 70 },
      },
      {
        name: 'processes started',
        unit: '',
        // A write to a frozen file system does not end: another process tries it.
        value: ours.processes,
        control: control.processes,
        aim: { of: 'value', atMost: 1 },
      },
    ],
  };
}
