import type { Plan } from './plan.ts';
import { isDone } from './plan.ts';

/** The plan for people. */
export function planText(plan: Plan): string {
  if (plan.refused !== null) return `${plan.refused}\n`;
  return plan.steps.map(({ id, state, why }) => `${state.padEnd(8)} ${id}: ${why.join(' ')}\n`).join('');
}

/** One JSON object. */
export function planJson(plan: Plan): string {
  return `${JSON.stringify({ schema: 1, ready: isDone(plan), ...plan }, null, 2)}\n`;
}
