import { type Result, type WithSeries, generate, judge, runSessions, shrink } from './campaign.ts';
import type { Clean } from './campaign.ts';
import { describe } from './compare.ts';
import type { Session } from './grammar.ts';
import { withMachine } from './machine.ts';
import { scenarioOf } from './session.ts';
import type { BootOptions } from '../vm/harness/guest.ts';

/** Guests to attack. The campaign must find differences in a twin, which lacks a protection. */
export const twins = {
  /** The guest with all protections. */
  none: {},
  /** The host left the system disk writable. */
  unsealed: { disk: 'writable' },
} as const satisfies Record<string, Partial<BootOptions>>;

export interface Campaign {
  twin: keyof typeof twins;
  sessions: number;
  seed: number;
  /** The number of actions of each session. */
  actions: number;
  /** For how long the sessions with a difference are shrunk, in minutes each. */
  shrinkMinutes: number;
}

/**
 * Runs sessions and prints a line for each; for one that differs, the differences and the shortest session that shows them.
 *
 * @param all the sessions, if the seed does not determine them
 */
export async function runCampaign(
  campaign: Campaign,
  print: (text: string) => void,
  all: readonly Session[] = generate(campaign.seed, campaign.sessions, campaign.actions),
): Promise<Result[]> {
  const { seed, shrinkMinutes } = campaign;
  const results: Result[] = [];
  await withMachine(twins[campaign.twin], async ({ withSeries, lost }) => {
    await runSessions(withSeries, lost, all, async (result, clean) => {
      results.push(result);
      print(describeResult(result, seed));
      if (result.outcome === 'different' && shrinkMinutes > 0) {
        const shortest = await shortestOf(result, withSeries, clean, shrinkMinutes * 60);
        print(shortest === undefined ? 'not repeated in a new guest\n' : scenarioOf(shortest));
      }
    });
  });
  return results;
}

function describeResult(
  { number, session, codes, outcome, seconds, differences }: Result,
  seed: number,
): string {
  const succeeded = codes.filter((code) => code === 0).length;
  const actions = `${codes.length} actions, ${succeeded} of them with exit code 0`;
  const lines = differences.map((each) => `${describe(each)}\n`).join('');
  return `session ${number} (seed ${seed + number}): ${actions}; ${session.ending}; ${outcome}, ${differences.length} differences, ${seconds.toFixed(0)} s\n${lines}`;
}

/** Shrinks a session, or, if it alone does not differ, what the whole series did. */
async function shortestOf(
  { session, earlier }: Result,
  withSeries: WithSeries,
  clean: Clean,
  seconds: number,
): Promise<Session | undefined> {
  const differs = (each: Session) =>
    withSeries(async (boot) => {
      await boot(each);
      const { fingerprint } = await boot();
      return (await judge(clean, fingerprint)).outcome === 'different';
    });
  const series = { ...session, actions: [...earlier, session].flatMap(({ actions }) => actions) };
  const alone = await shrink(session, differs, seconds);
  if (alone !== undefined || earlier.length === 0) return alone;
  return shrink(series, differs, seconds);
}

/** Returns the verbs of which no action had the exit code 0. */
export function verbsWithoutSuccess(results: readonly Result[]): string[] {
  const verbs = new Map<string, boolean>();
  for (const { session, codes } of results) {
    for (const [index, [verb]] of session.actions.entries())
      verbs.set(verb, verbs.get(verb) === true || codes[index] === 0);
  }
  return [...verbs].filter(([, succeeded]) => !succeeded).map(([verb]) => verb);
}
