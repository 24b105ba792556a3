import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { ImageRefusal } from '../../system/image.ts';
import { shortList } from '../../lib/format.ts';
import { bootEnvFile, readBootEnv } from '../../facts/boot/boot-env.ts';
import { type Snapshot, readSnapshot, snapshotAfter } from './snapshot.ts';
import type { Planned } from './part.ts';
import { unsealableDevices } from './preconditions.ts';
import { type Settings, type Step, type StepId, guestStepIds, stepIds } from './step.ts';

/** The planner of each step. A planner only reads. */
export type Planners = Readonly<Record<StepId, (snapshot: Snapshot) => Planned | Promise<Planned>>>;

export interface Plan {
  /** Why this guest cannot be prepared; null if it can. */
  refused: string | null;
  steps: Step[];
}

/**
 * Plans the steps in order. Each step is planned as if the steps before it had been carried out.
 * @param chosen the steps of this run
 * @param planned the chosen steps to plan now; the steps before them have already been carried out
 * @throws SystemError if the state of the guest cannot be read
 */
export async function plan(
  planners: Planners,
  reader: SystemReader,
  settings: Settings,
  chosen: ReadonlySet<StepId>,
  planned: ReadonlySet<StepId> = chosen,
): Promise<Plan> {
  const { uid } = reader.environment();
  if (uid !== 0)
    throw new SystemError('prepare must be run by root: it reads the open files of every process');
  let snapshot = readSnapshot(reader, settings, !chosen.has('home'));
  // Whether a guest can be prepared depends on its devices and mounts, which an image does not have.
  const refused = reader.image === undefined ? reasonToRefuse(snapshot) : null;
  if (refused !== null) return { refused, steps: [] };
  const steps: Step[] = [];
  const ids = (reader.image === undefined ? guestStepIds : stepIds).filter(
    (id) => id !== 'scratch' || usesScratch(snapshot),
  );
  for (const id of ids.filter((each) => planned.has(each))) {
    const step = { id, ...(await planStep(planners[id], snapshot)) };
    steps.push(step);
    snapshot = snapshotAfter(snapshot, step.actions);
  }
  return { refused, steps };
}

/**
 * Plans a step. What a reader of an image has refused is examined at the first boot: all of the step if the planner
 * cannot do without it, or a part.
 */
async function planStep(planner: Planners[StepId], snapshot: Snapshot): Promise<Planned> {
  const { image } = snapshot.reader;
  if (image === undefined) return planner(snapshot);
  image.takeNotes();
  const step = await planOrRefuse(planner, snapshot);
  const atFirstBoot = image.takeNotes();
  if (atFirstBoot.length === 0) return step;
  const examined = `At the first boot, \`immutafs-agent check --ready-to-seal\` ${step.state === 'at first boot' ? '' : 'also '}examines: ${shortList(atFirstBoot, ', ', 10)}.`;
  return {
    ...step,
    state: step.state === 'done' ? 'at first boot' : step.state,
    why: [...step.why, examined],
    atFirstBoot,
  };
}

async function planOrRefuse(planner: Planners[StepId], snapshot: Snapshot): Promise<Planned> {
  try {
    return await planner(snapshot);
  } catch (error) {
    if (!(error instanceof ImageRefusal)) throw error;
    // Several steps can share what was refused to the first of them.
    snapshot.reader.image?.note(error.shown);
    return { state: 'at first boot', why: [], actions: [] };
  }
}

/** Whether there is anything to plan for the step `scratch`, which most guests do not need. */
function usesScratch({ config, settings }: Snapshot): boolean {
  return settings.scratchDevice !== undefined || config.SCRATCH !== '' || config.SCRATCH_DEVICE !== '';
}

/** Whether the guest can be prepared and every planned step is done, in an image as far as it can be done there. */
export function isDone({ refused, steps }: Plan): boolean {
  return refused === null && steps.every(({ state }) => state === 'done' || state === 'at first boot');
}

/**
 * Returns the reason why this guest cannot be prepared, or null. Changes to a sealed guest fail or are lost at reboot.
 */
function reasonToRefuse(snapshot: Snapshot): string | null {
  const { reader, mounts, disks } = snapshot;
  const root = mounts.serving('/');
  const readOnlyDisk = disks.find(({ holds, readOnly }) => holds.includes('/') && readOnly);
  const boot = readBootEnv(reader);
  const isSealedBoot = boot?.mode === 'sealed';
  const remedy = 'Shut it down, make the disk writable on the host, start the guest, and run prepare then';
  if (readOnlyDisk !== undefined) {
    return `This guest is sealed: disk ${readOnlyDisk.name} is read-only. ${remedy}.`;
  }
  if (isSealedBoot && boot.rehearsal !== undefined) {
    return 'This boot is a rehearsal, in which nothing is changed: the plan is shown when it has ended.';
  }
  if (isSealedBoot) return `This is a sealed boot (${bootEnvFile}). ${remedy}.`;
  if (root === undefined)
    return 'The mount table has no entry for /: run prepare in the guest itself, not in a chroot.';
  const own = mounts.serving('/var');
  if (own?.type === 'overlay' && own.target === '/var') {
    return `/var is an overlay: changes there are lost at the next boot. ${remedy}.`;
  }
  if ([...root.options, ...root.superOptions].includes('ro')) {
    return 'The root is mounted read-only, though its disk is writable. Run `mount -o remount,rw /` first; if that fails, see the kernel log.';
  }
  return unsealableDevices(snapshot) ?? null;
}
