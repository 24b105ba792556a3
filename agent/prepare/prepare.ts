import type { SystemReader } from '../system/reader.ts';
import { type Parts, applyAll, basicExecutors } from './engine/apply.ts';
import { readMountTable } from '../facts/mounts/mountinfo.ts';
import { lockLog, readActionLog } from './engine/action-log.ts';
import { type Tools, contextOf } from './engine/context.ts';
import { type Plan, plan } from './engine/plan.ts';
import { undo } from './engine/undo.ts';
import type { Settings, StepId } from './engine/step.ts';
import { formatHome, partitionHome } from './home/format.ts';
import { planHome } from './home/plan.ts';
import { planImageHome } from './home/image-home.ts';
import type { At } from './move/old-content.ts';
import { retryTasks } from './move/record.ts';
import { planReturn, planningExecutors } from './at-boot/planning.ts';
import { runTasks } from './at-boot/run.ts';
import { planAudit } from './steps/audit.ts';
import { planBoot } from './steps/boot.ts';
import { planEtc } from './steps/etc.ts';
import { planExec } from './steps/exec.ts';
import { planImage } from './steps/image.ts';
import { planFstab } from './steps/fstab.ts';
import { flushBoot, planInitramfs } from './steps/initramfs.ts';
import { planMtab } from './steps/mtab.ts';
import { planScratch } from './steps/scratch.ts';
import { planState } from './steps/state.ts';
import { planTmp } from './steps/tmp.ts';
import { planVar } from './steps/var.ts';
import { planWrites } from './steps/writes.ts';

/** The planners and executors that this product uses. */
const parts: Parts = {
  planners: {
    home: (snapshot) => (snapshot.reader.image === undefined ? planHome(snapshot) : planImageHome(snapshot)),
    tmp: planTmp,
    mtab: planMtab,
    fstab: planFstab,
    etc: planEtc,
    state: planState,
    scratch: planScratch,
    var: planVar,
    audit: planAudit,
    writes: planWrites,
    exec: planExec,
    initramfs: planInitramfs,
    boot: planBoot,
    image: planImage,
  },
  executors: {
    ...basicExecutors,
    'partition-home': { execute: partitionHome },
    'format-home': { execute: formatHome },
    ...planningExecutors,
  },
};

/** Plans the chosen steps (agent/prepare/engine/plan.ts). */
export function planGuest(
  reader: SystemReader,
  settings: Settings,
  chosen: ReadonlySet<StepId>,
): Promise<Plan> {
  return plan(parts.planners, reader, settings, chosen);
}

/** Plans and carries out the chosen steps (agent/prepare/engine/apply.ts). @returns a plan with the remaining changes */
export async function prepareGuest(
  tools: Tools,
  settings: Settings,
  chosen: ReadonlySet<StepId>,
): Promise<Plan> {
  await locked(tools, async () => {
    await applyAll(parts, tools, settings, chosen);
    retryTasks(tools);
  });
  return planGuest(tools.reader, settings, chosen);
}

/**
 * Restores what `prepare` changed (agent/prepare/engine/undo.ts). If something was moved, the next boot does that.
 * @returns whether everything was restored
 */
export async function undoGuest(tools: Tools): Promise<boolean> {
  return locked(tools, async () => {
    const { reader } = tools;
    if (reader.image === undefined && !(await planReturn(tools))) return false;
    const isOfBoot = readActionLog(reader).some(
      ({ action }) => 'file' in action && action.file.startsWith('/boot/'),
    );
    const isRestored = undo(tools);
    if (isOfBoot) await flushRestored(tools);
    return isRestored;
  });
}

/** Writes restored files of /boot through to the disk, as the steps do with the files that they change. */
async function flushRestored(tools: Tools): Promise<void> {
  const { reader } = tools;
  if (reader.image !== undefined || readMountTable(reader).serving('/boot')?.target !== '/boot') return;
  const { program, args, seconds } = flushBoot;
  await contextOf(tools).run(program, args, { seconds });
}

/** Carries out what was recorded for this boot (agent/prepare/move/run.ts). @returns whether everything succeeded */
export function runMoves(tools: Tools, at?: At): Promise<boolean> {
  return locked(tools, () => runTasks(tools, () => undo(tools), at));
}

/** Runs an action that reads and changes the records of `prepare`, while no other process does. */
async function locked<T>(tools: Tools, action: () => Promise<T>): Promise<T> {
  const unlock = lockLog(tools);
  try {
    return await action();
  } finally {
    unlock();
  }
}
