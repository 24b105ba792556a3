import type { Guest } from '../vm/harness/guest.ts';
import { EmulatorFault, type Step } from '../vm/harness/run.ts';
import { shared } from '../vm/harness/shared.ts';
import { type Observed, type WithSeries, fingerprintOf } from './campaign.ts';
import { type Fingerprint, parseFingerprint } from './fingerprint.ts';
import type { Session } from './grammar.ts';
import { type BootGuest, kinds, withGuests } from './guest.ts';
import { stepsOf } from './session.ts';
import type { Twin } from './twins.ts';

export interface Machine {
  withSeries: WithSeries;
  /** Returns the fingerprint of a boot with empty data disks; it boots once. */
  lost: () => Promise<Fingerprint>;
}

/** Calls `work` with a guest to attack. @param twin which protection it lacks; undefined for none */
export async function withMachine<T>(
  kind: keyof typeof kinds,
  twin: Twin | undefined,
  work: (machine: Machine) => Promise<T>,
): Promise<T> {
  return withGuests(kinds[kind], twin, (open) => {
    const series =
      (data: 'intact' | 'lost'): WithSeries =>
      (use) =>
        open(data, (bootGuest, guest) => use((session) => observe(bootGuest, guest, twin, session)));
    const lost = shared(() => series('lost')(async (boot) => fingerprintOf(await boot())));
    return work({ withSeries: series('intact'), lost });
  });
}

/** Boots a guest, reads its fingerprint, and then attacks. */
async function observe(
  boot: BootGuest,
  { checksum }: Guest,
  twin: Twin | undefined,
  session?: Session,
): Promise<Observed> {
  let done: Awaited<ReturnType<BootGuest>>;
  try {
    done = await boot({ ...twin?.boot, steps: stepsOf(session) });
  } catch (error) {
    // The clock of a system that was resumed is far ahead, as if the emulation had failed in each attempt.
    if (!(error instanceof EmulatorFault)) throw error;
    return { fingerprint: { stopped: error.message }, codes: [], seconds: 0 };
  }
  const [collected, attack] = ['fingerprint', 'attack'].map((name) => stepOf(() => done.step(name)));
  const { seconds, endedBy, console } = done;
  // The attack reports its codes itself, and ends the machine.
  if (attack !== undefined && attack.exit !== 0)
    throw new Error(`the attack ended with ${attack.exit}: ${attack.stderr}`);
  const codes = attack === undefined ? [] : (attack.stdout.match(/\S+/g) ?? []).map(Number);
  if (collected?.exit !== 0) {
    const reason =
      collected === undefined ? '' : `the collector ended with ${collected.exit}: ${collected.stderr}\n`;
    return {
      fingerprint: { stopped: `${reason}ended by ${endedBy}; the console:\n${console.slice(-6000)}` },
      codes,
      seconds,
    };
  }
  // A boot of a writable disk changes it.
  const disk: [string, string][] =
    twin?.boot?.disk === 'writable' ? [] : [['the system disk', await checksum()]];
  return { fingerprint: parseFingerprint(collected.stdout, [...disk, ...done.devices]), codes, seconds };
}

/** Returns a step, or undefined if it did not run. */
function stepOf(read: () => Step): Step | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
