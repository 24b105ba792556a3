import type { Plan } from '../../agent/prepare/engine/plan.ts';
import {
  type Settings,
  type Step,
  type StepId,
  noSettings,
  stepIds,
} from '../../agent/prepare/engine/step.ts';
import { planGuest } from '../../agent/prepare/prepare.ts';
import type { SystemReader } from '../../agent/system/reader.ts';
import type { MemoryFile } from '../../agent/system/processes.ts';
import { type Guest, withGuest } from './guest.ts';

export interface PlanRequest {
  /** The steps to plan; by default all steps. */
  steps?: readonly StepId[];
  settings?: Partial<Settings>;
  /** Returns the reader to use instead of that of the fixture. */
  as?: (reader: SystemReader) => SystemReader;
}

export { noSettings };

/** Returns the plan of a guest. */
export function planOf(
  guest: Guest,
  { steps = stepIds, settings = {}, as = (reader) => reader }: PlanRequest = {},
): Promise<Plan> {
  return withGuest(guest, (reader) => planGuest(as(reader), { ...noSettings, ...settings }, new Set(steps)));
}

/** Returns one step of the plan. The other steps are planned only if the request names them. */
export async function planned(guest: Guest, id: StepId, request: PlanRequest = {}): Promise<Step> {
  const { steps, refused } = await planOf(guest, { steps: [id], ...request });
  const step = steps.find((each) => each.id === id);
  if (step === undefined) throw new Error(`no step ${id}: ${refused}`);
  return step;
}

/**
 * Returns a reader for which a read of a file of the process 900 would hang: `silent` reports the process, and each
 * read of the file throws.
 */
export function withSilent(name: MemoryFile): (reader: SystemReader) => SystemReader {
  return (reader) => {
    const { processes } = reader;
    const refuse = (file: string) => {
      if (file === `/proc/900/${name}`) throw new Error(`${file} would hang`);
    };
    return {
      ...reader,
      read: (file, limit) => {
        refuse(file);
        return reader.read(file, limit);
      },
      processes: {
        ...processes,
        mappedFiles: (pids) => (name === 'maps' ? Promise.resolve(undefined) : processes.mappedFiles(pids)),
        silent: (pids, file) =>
          Promise.resolve(new Map(file === name && pids.includes(900) ? [[900, `${name} hangs`]] : [])),
        read: (pid, file, limit) => {
          refuse(`/proc/${pid}/${file}`);
          return processes.read(pid, file, limit);
        },
      },
    };
  };
}
