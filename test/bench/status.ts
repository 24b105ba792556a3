import { buildPrograms } from './programs.ts';
import type { Result } from './run.ts';
import { type Series, inRuntime } from './series-in-runtime.ts';
import { median } from './table.ts';

/** Compares `immutafs-agent status` with an empty program that is built in the same way. */
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
        // One child process is required, because a write to a frozen file system hangs.
        value: ours.processes,
        control: control.processes,
        aim: { of: 'value', atMost: 1 },
      },
    ],
  };
}
