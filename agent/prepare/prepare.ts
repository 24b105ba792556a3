import type { SystemReader } from '../system/reader.ts';
import { type Parts, applyAll, basicExecutors } from './engine/apply.ts';
import type { Tools } from './engine/context.ts';
import { type Plan, plan } from './engine/plan.ts';
import { undo } from './engine/undo.ts';
import type { Settings, StepId } from './engine/step.ts';
import { copyHome, verifyHome, formatHome, partitionHome } from './home/copy.ts';
import { clearHomeMarker, cutoverHome } from './home/cutover.ts';
import { planHome } from './home/plan.ts';
import { planImageHome } from './home/image-home.ts';
import { purgeHome } from './home/purge.ts';
import { planAudit } from './steps/audit.ts';
import { planBoot } from './steps/boot.ts';
import { planEtc } from './steps/etc.ts';
import { planExec } from './steps/exec.ts';
import { planImage } from './steps/image.ts';
import { planFstab } from './steps/fstab.ts';
import { planInitramfs } from './steps/initramfs.ts';
import { planMtab } from './steps/mtab.ts';
import { planScratch } from './steps/scratch.ts';
import { planState } from './steps/state.ts';
import { copyState, verifyState, switchState } from './steps/state/executors.ts';
import { clearState, purgeState } from './steps/state/old-content.ts';
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
    'copy-home': { execute: copyHome },
    'verify-home': { execute: verifyHome },
    'cutover-home': cutoverHome,
    'clear-home-marker': { execute: clearHomeMarker },
    'purge-home': { execute: purgeHome },
    'copy-state': { execute: copyState },
    'verify-state': { execute: verifyState },
    'switch-state': switchState,
    'clear-state': { execute: clearState },
    'purge-state': { execute: purgeState },
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
export function prepareGuest(tools: Tools, settings: Settings, chosen: ReadonlySet<StepId>): Promise<Plan> {
  return applyAll(parts, tools, settings, chosen);
}

/** Restores what `prepare` changed (agent/prepare/engine/undo.ts). @returns whether everything was restored */
export function undoGuest(tools: Tools): Promise<boolean> {
  return undo(parts.executors, tools);
}
