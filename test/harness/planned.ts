import type { Plan } from '../../agent/prepare/engine/plan.ts';
import {
  type Settings,
  type Step,
  type StepId,
  noSettings,
  stepIds,
} from '../../agent/prepare/engine/step.ts';
import { planGuest } from '../../agent/prepare/prepare.ts';
import { type Guest, withGuest } from './guest.ts';

export interface PlanRequest {
  /** The steps to plan; by default all steps. */
  steps?: readonly StepId[];
  settings?: Partial<Settings>;
}

export { noSettings };

/** Returns the plan of a guest. */
export function planOf(guest: Guest, { steps = stepIds, settings = {} }: PlanRequest = {}): Promise<Plan> {
  return withGuest(guest, (reader) => planGuest(reader, { ...noSettings, ...settings }, new Set(steps)));
}

/** Returns one step of the plan. The other steps are planned only if the request names them. */
export async function planned(guest: Guest, id: StepId, request: PlanRequest = {}): Promise<Step> {
  const { steps, refused } = await planOf(guest, { steps: [id], ...request });
  const step = steps.find((each) => each.id === id);
  if (step === undefined) throw new Error(`no step ${id}: ${refused}`);
  return step;
}
