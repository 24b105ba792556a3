import { type Plan, plan } from '../../agent/prepare/engine/plan.ts';
import { type Settings, type Step, type StepId, stepIds } from '../../agent/prepare/engine/step.ts';
import { type Guest, withGuest } from './guest.ts';

export const noSettings: Settings = {
  homeDevice: undefined,
  homeUuid: undefined,
  wipe: undefined,
  purgeOldHome: false,
  tmpSize: undefined,
  tmpMode: undefined,
  cleanVar: false,
};

export interface Asked {
  /** The steps that are looked at; all of them if not given. */
  steps?: readonly StepId[];
  settings?: Partial<Settings>;
}

/** The plan of a guest. */
export function planOf(guest: Guest, { steps = stepIds, settings = {} }: Asked = {}): Promise<Plan> {
  return withGuest(guest, (reader) => plan(reader, { ...noSettings, ...settings }, new Set(steps)));
}

/** One step of it; the others are not looked at unless they are named. */
export async function planned(guest: Guest, id: StepId, asked: Asked = {}): Promise<Step> {
  const { steps, refused } = await planOf(guest, { steps: [id], ...asked });
  const step = steps.find((each) => each.id === id);
  if (step === undefined) throw new Error(`no step ${id}: ${refused}`);
  return step;
}
