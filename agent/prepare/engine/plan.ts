import { HostError } from '../../lib/errors.ts';
import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { parseBootEnv, bootEnvFile } from '../../facts/boot/boot-env.ts';
import { planHome } from '../home/plan.ts';
import { type Look, lookAfter, lookAt } from './snapshot.ts';
import { planBoot } from '../steps/boot.ts';
import { planEtc } from '../steps/etc.ts';
import { planFstab } from '../steps/fstab.ts';
import { planInitramfs } from '../steps/initramfs.ts';
import { planMtab } from '../steps/mtab.ts';
import { planTmp } from '../steps/tmp.ts';
import { planVar } from '../steps/var.ts';
import { type Settings, type Step, type StepId, stepIds } from './step.ts';

/** Each looks and says what there is to do; none changes anything. */
const planners: Record<StepId, (look: Look) => Step | Promise<Step>> = {
  home: planHome,
  tmp: planTmp,
  mtab: planMtab,
  fstab: planFstab,
  etc: planEtc,
  var: planVar,
  initramfs: planInitramfs,
  boot: planBoot,
};

export interface Plan {
  /** Why nothing can be prepared here; null: it can. */
  refused: string | null;
  steps: Step[];
}

/**
 * What there is to do, in order, each step as if those before it were done.
 * @param chosen the steps that are to be done
 * @param looked those of them to look at now; what comes before them has been done
 * @throws HostError where the guest cannot be looked at
 */
export async function plan(
  reader: SystemReader,
  settings: Settings,
  chosen: ReadonlySet<StepId>,
  looked: ReadonlySet<StepId> = chosen,
): Promise<Plan> {
  const { uid } = reader.environment();
  if (uid !== 0) throw new HostError('prepare must be run by root: it looks at what every process has open');
  let look = lookAt(reader, settings, !chosen.has('home'));
  const refused = whyNot(look);
  if (refused !== null) return { refused, steps: [] };
  const steps: Step[] = [];
  for (const id of stepIds.filter((each) => looked.has(each))) {
    const step = await planners[id](look);
    steps.push(step);
    look = lookAfter(look, step.actions);
  }
  return { refused, steps };
}

/** Nothing is left to do in the steps that were looked at. */
export function isDone({ refused, steps }: Plan): boolean {
  return refused === null && steps.every(({ state }) => state === 'done');
}

/** A sealed guest is as it is until the host opens it. */
function whyNot({ reader, mounts, disks }: Look): string | null {
  const root = mounts.serving('/');
  const shut = disks.find(({ holds, readOnly }) => holds.includes('/') && readOnly);
  const handoff = reader.readRecord(bootEnvFile, 'root', 65536);
  const sealedBy = handoff === undefined ? undefined : parseBootEnv(decodeBytes(handoff)).mode === 'sealed';
  const mend = 'Shut it down, let the host make the disk writable, start it, and prepare it then';
  if (shut !== undefined) return `This guest is sealed: disk ${shut.name} is read-only. ${mend}.`;
  if (sealedBy === true) return `This boot is a sealed one (${bootEnvFile}). ${mend}.`;
  if (root === undefined) return 'No mount serves /.';
  const own = mounts.serving('/var');
  if (own?.type === 'overlay' && own.target === '/var') {
    return `/var is an overlay: what is done there is gone at the next boot. ${mend}.`;
  }
  if ([...root.options, ...root.superOptions].includes('ro')) {
    return 'The root is mounted read-only, though its disk is not. `mount -o remount,rw /` first; see the kernel log where that fails.';
  }
  return null;
}
