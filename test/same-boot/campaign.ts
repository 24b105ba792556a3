import fc from 'fast-check';
import { type Difference, compare } from './compare.ts';
import type { Fingerprint } from './fingerprint.ts';
import { type Session, sessions } from './grammar.ts';

/** What one boot showed: its fingerprint, and then what the attack in it did. */
export interface Observed {
  /** Or why there is none. */
  fingerprint: Fingerprint | { stopped: string };
  /** The exit code of each action. */
  codes: readonly number[];
  seconds: number;
}

/** Boots a guest of a series, which keeps what earlier boots wrote, and attacks it if there is a session. */
export type Boot = (session?: Session) => Promise<Observed>;

/** Calls its argument with the boots of a guest whose disks are as new. */
export type WithSeries = <T>(use: (boot: Boot) => Promise<T>) => Promise<T>;

/** The fingerprints of clean boots. */
export interface Clean {
  /** Of the first boot, with all data. */
  intact: Fingerprint;
  /**
   * Returns that of a boot with empty data disks, which only a session that destroyed data needs. Without it, a boot that
   * has lost data differs.
   */
  lost?: (() => Promise<Fingerprint>) | undefined;
}

export interface Result {
  number: number;
  session: Session;
  codes: readonly number[];
  differences: Difference[];
  /** Whether the boot was stopped, or had lost data, so that the next session needs a new guest. */
  outcome: 'same' | 'data lost' | 'stopped' | 'different';
  /** The sessions before it in the series. */
  earlier: readonly Session[];
  /** Of the boot that was compared. */
  seconds: number;
}

/**
 * Runs sessions: each boot is compared with the first one, and is the boot in which the next session attacks, until a boot
 * differs or has lost data. An attack in such a boot does not count, and is repeated in a new guest.
 *
 * @param lost see `Clean`
 */
export async function runSessions(
  withSeries: WithSeries,
  lost: Clean['lost'],
  all: readonly Session[],
  report: (result: Result, clean: Clean) => Promise<void>,
): Promise<void> {
  let clean: Clean | undefined;
  for (let next = 0; next < all.length;) {
    next = await withSeries(async (boot) => {
      const start = next;
      let attacked = await boot(all[start]);
      clean ??= { intact: fingerprintOf(attacked), lost };
      await assertClean(attacked, clean);
      for (let number = start; ; number++) {
        const [session, following] = all.slice(number, number + 2);
        if (session === undefined) return number;
        const observed = await boot(following);
        const judged = await judge(clean, observed.fingerprint);
        const { codes } = attacked;
        const { seconds } = observed;
        await report(
          { number, session, codes, ...judged, earlier: all.slice(start, number), seconds },
          clean,
        );
        if (judged.outcome !== 'same') return number + 1;
        attacked = observed;
      }
    });
  }
}

/** @throws if the boot was stopped */
export function fingerprintOf({ fingerprint }: Observed): Fingerprint {
  if ('stopped' in fingerprint)
    throw new Error(`a boot without an attack was stopped: ${fingerprint.stopped}`);
  return fingerprint;
}

async function assertClean({ fingerprint }: Observed, clean: Clean): Promise<void> {
  const { outcome, differences } = await judge(clean, fingerprint);
  if (outcome !== 'same')
    throw new Error(`a boot without an attack differs (${outcome}): ${JSON.stringify(differences, null, 2)}`);
}

/** Returns how a boot differs from clean boots. Each value must be that of a boot with the data or of one without. */
export async function judge(
  { intact, lost }: Clean,
  fingerprint: Observed['fingerprint'],
): Promise<Pick<Result, 'differences' | 'outcome'>> {
  if ('stopped' in fingerprint) return judgeEnd(fingerprint.stopped);
  if (compare([intact], fingerprint).length === 0) return { differences: [], outcome: 'same' };
  const differences = compare(lost === undefined ? [intact] : [intact, await lost()], fingerprint);
  return { differences, outcome: differences.length > 0 ? 'different' : 'data lost' };
}

/** Ends that the threat model has: the boot stops and runs nothing of the attacker. */
const declaredEnds = [
  // Instead of running from a copy of the system disk, the initramfs powers off, or LVM does not activate the root.
  /immutafs: \S+ is mounted from \S+, which poses as /,
  /\/dev\/mapper\/rhel-root does not exist/,
  // Root can set errors=panic on a data disk.
  /Kernel panic - not syncing: EXT4-fs \(device /,
];

function judgeEnd(stopped: string): Pick<Result, 'differences' | 'outcome'> {
  const isDeclared = !stopped.includes('PLANTED') && declaredEnds.some((each) => each.test(stopped));
  if (isDeclared) return { differences: [], outcome: 'stopped' };
  return {
    differences: [{ key: 'boot', expected: ['a fingerprint'], found: stopped }],
    outcome: 'different',
  };
}

/** Returns sessions with a fixed number of actions each, which the seed determines. */
export function generate(seed: number, count: number, length: number): Session[] {
  return Array.from({ length: count }, (_, number) => {
    const [session] = fc.sample(sessions(length, length), { seed: seed + number, numRuns: 1 });
    if (session === undefined) throw new Error('fast-check returned no sample');
    return session;
  });
}

/**
 * Returns the shortest session found that still differs; undefined if the session itself does not differ again.
 *
 * @param differs boots a new guest with a session, and again
 * @param seconds after this time, the shortest session found until then is returned
 */
export async function shrink(
  session: Session,
  differs: (session: Session) => Promise<boolean>,
  seconds: number,
): Promise<Session | undefined> {
  const end = performance.now() + seconds * 1000;
  const property = fc.asyncProperty(
    sessions(0, session.actions.length),
    async (each) => performance.now() > end || !(await differs(each)),
  );
  const { counterexample } = await fc.check(property, { examples: [[session]], numRuns: 1, seed: 1 });
  return counterexample?.[0];
}
