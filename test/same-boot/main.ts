/**
 * node test/same-boot/main.ts [--sessions N] [--seed S] [--actions M] [--twin NAME] [--shrink MINUTES]: attacks a sealed guest with sessions that the seed determines, and compares each next boot with clean
 * boots. The exit code is 1 if a boot differs. A twin lacks a protection (`run.ts`).
 */
import { parseArgs } from 'node:util';
import { runCampaign, twins, verbsWithoutSuccess } from './run.ts';

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    actions: { type: 'string', default: '400' },
    twin: { type: 'string', default: 'none' },
    shrink: { type: 'string', default: '30' },
  },
});

function oneOf<T extends string>(known: readonly T[], value: string): T {
  const found = known.find((each) => each === value);
  if (found === undefined) throw new Error(`${value} is none of ${known.join(', ')}`);
  return found;
}

const print = (text: string) => void process.stdout.write(text);
const results = await runCampaign(
  {
    twin: oneOf(Object.keys(twins) as (keyof typeof twins)[], values.twin),
    ...{ sessions: Number(values.sessions), seed: Number(values.seed) },
    ...{ actions: Number(values.actions), shrinkMinutes: Number(values.shrink) },
  },
  print,
);
const actions = results.reduce((sum, { codes }) => sum + codes.length, 0);
const different = results.filter(({ outcome }) => outcome === 'different').length;
print(`verbs without an exit code 0: ${verbsWithoutSuccess(results).join(' ') || 'none'}\n`);
print(`${results.length} sessions, ${actions} actions, ${different} sessions with differences\n`);
process.exitCode = different === 0 ? 0 : 1;
