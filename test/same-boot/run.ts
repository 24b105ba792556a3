import { type Result, type WithSeries, judge, runSessions, shrink } from './campaign.ts';
import type { Clean } from './campaign.ts';
import { describe } from './compare.ts';
import type { Session } from './grammar.ts';
import { withMachine } from './machine.ts';
import type { kinds } from './guest.ts';
import { notTried, scenarioOf } from './session.ts';
import { type Twin, twins, withFoothold } from './twins.ts';

export interface Campaign {
  /** The guest to attack: one with all protections, or a twin. */
  guest: keyof typeof kinds | keyof typeof twins;
  /** The number of the first session. If `generate` made the sessions, the number of each is its seed. */
  seed: number;
  /** The number of guests at a time. A guest without its data mainly waits for it. */
  jobs: number;
  /** Whether a boot that has lost the data which a session destroyed is compared with a clean one that has lost it as well. */
  mayLoseData: boolean;
  /** For how long the sessions with a difference are shrunk, in minutes each. */
  shrinkMinutes: number;
}

/**
 * Runs sessions and prints a line for each; for one that differs, the differences and the shortest session that shows them.
 */
export async function runCampaign(
  campaign: Campaign,
  print: (text: string) => void,
  all: readonly Session[],
): Promise<Result[]> {
  const { guest, seed, jobs, mayLoseData, shrinkMinutes } = campaign;
  const twin: Twin | undefined = guest in twins ? twins[guest as keyof typeof twins] : undefined;
  const kind = twin?.kind ?? (guest as keyof typeof kinds);
  const sessions = twin === undefined ? all : all.map((session) => withFoothold(session, twin));
  const results: Result[] = [];
  await withMachine(kind, twin, async ({ withSeries, ...machine }) => {
    const lost = mayLoseData ? machine.lost : undefined;
    const attack = ({ start, part }: Slice) =>
      runSessions(withSeries, lost, part, async (result, clean) => {
        results.push(result);
        print(describeResult(result, seed + start));
        if (result.outcome === 'different' && shrinkMinutes > 0) {
          const shortest = await shortestOf(result, withSeries, clean, shrinkMinutes * 60);
          print(shortest === undefined ? 'not repeated in a new guest\n' : scenarioOf(shortest));
        }
      });
    await Promise.all(slicesOf(sessions, jobs).map(attack));
  });
  return results;
}

/** Sessions that attack one guest after the other. */
interface Slice {
  /** The index of the first one among all sessions. */
  start: number;
  part: readonly Session[];
}

/** Divides the sessions, in order, among so many guests. */
export function slicesOf(sessions: readonly Session[], jobs: number): Slice[] {
  const length = Math.max(1, Math.ceil(sessions.length / jobs));
  const starts = Array.from({ length: Math.ceil(sessions.length / length) }, (_, index) => index * length);
  return starts.map((start) => ({ start, part: sessions.slice(start, start + length) }));
}

function describeResult(
  { number, session, codes, outcome, seconds, differences }: Result,
  seed: number,
): string {
  const succeeded = codes.filter((code) => code === 0).length;
  const actions = `${triedOf(codes)} actions, ${succeeded} of them with exit code 0`;
  const lines = differences.map((each) => `${describe(each)}\n`).join('');
  return `session ${seed + number}: ${actions}; ${session.ending}; ${outcome}, ${differences.length} differences, ${seconds.toFixed(0)} s\n${lines}`;
}

/** Returns the number of actions for which time was left. */
export const triedOf = (codes: readonly number[]): number => codes.filter((code) => code !== notTried).length;

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
