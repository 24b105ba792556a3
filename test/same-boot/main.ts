/**
 * node test/same-boot/main.ts [--guest NAME] [--sessions N] [--seed S] [--actions M] [--jobs J] [--shrink MINUTES]: attacks
 * sealed guests (`guest.ts`), J at a time, with sessions that the seed determines, and compares each next boot with clean
 * boots. The exit code is 1 if a boot differs. A twin (`twins.ts`) is a guest that lacks a protection.
 */
import { parseArgs } from 'node:util';
import { generate } from './campaign.ts';
import { kinds } from './guest.ts';
import { runCampaign, triedOf, verbsWithoutSuccess } from './run.ts';
import { twins } from './twins.ts';

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    actions: { type: 'string', default: '400' },
    guest: { type: 'string', default: 'lvm' },
    jobs: { type: 'string', default: '1' },
    shrink: { type: 'string', default: '30' },
  },
});

function oneOf<T extends string>(known: readonly T[], value: string): T {
  const found = known.find((each) => each === value);
  if (found === undefined) throw new Error(`${value} is none of ${known.join(', ')}`);
  return found;
}

/** @throws if the option is not a positive whole number, so that a campaign without sessions does not pass */
function count(name: keyof typeof values, least = 1): number {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < least)
    throw new Error(`--${name}: ${values[name]} is not a whole number of at least ${least}`);
  return value;
}

const print = (text: string) => void process.stdout.write(text);
const seed = count('seed', 0);
const guests = { ...kinds, ...twins };
const guest = oneOf(Object.keys(guests) as (keyof typeof guests)[], values.guest);
const results = await runCampaign(
  { guest, seed, jobs: count('jobs'), mayLoseData: true, shrinkMinutes: count('shrink', 0) },
  print,
  generate(seed, count('sessions'), count('actions')),
);
const actions = results.reduce((sum, { codes }) => sum + triedOf(codes), 0);
const different = results.filter(({ outcome }) => outcome === 'different').length;
print(`verbs without an exit code 0: ${verbsWithoutSuccess(results).join(' ') || 'none'}\n`);
print(`${results.length} sessions, ${actions} actions, ${different} sessions with differences\n`);
process.exitCode = different === 0 ? 0 : 1;
