import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Moment } from '../harness/moment.ts';
import { assertNothingFailed, look, notPassed, statusOf, withAgent } from '../harness/scenario.ts';
import type { Boot } from '../harness/scenario.ts';
import { random, seed } from '../harness/seed.ts';

/**
 * In each part of the test, the power is cut at three moments of a boot: while the initramfs mounts the root and
 * assembles /var, while the services start that write to /var and /home, and while the file systems are unmounted. The
 * milliseconds after the line on the console differ in each run; POWER_CUT_SEED repeats those of a run.
 *
 * In each part, one boot proves for all cuts of the part that the next boot comes up:
 * - Sealed: a boot can leave traces only on the disks. The system disk is byte for byte the same as before; the
 *   maintenance part mounts /home.
 * - Maintenance: the moments ascend, so each boot recovers from all earlier cuts and runs past the moment of the last
 *   cut without a failure; the last boot completes.
 */
const momentLines = [
  [/initrd-root-device\.target/, 2000],
  [/rsyslog\.service/, 3000],
  [/Unmounting/, 300],
] as const;

/** Makes systemd print the units that it starts and stops. */
const verbose = { allUnits: true, arguments: ['systemd.show_status=1'] };

const powerCut = suite('power cuts');

powerCut('in sealed boots and in maintenance: the next boot comes up; the sealed disk does not change', () =>
  withAgent({}, async (guest) => {
    const before = await guest.checksum();
    for (const powerCutAt of moments('sealed')) {
      assertCut(await guest.boot({ disk: 'readonly', ...verbose, powerCutAt }), powerCutAt);
    }
    assert.is(await guest.checksum(), before);

    for (const powerCutAt of moments('maintenance')) {
      assertCut(await guest.boot({ disk: 'writable', ...verbose, powerCutAt }), powerCutAt);
    }
    const last = await guest.boot({ disk: 'writable', ...verbose, steps: look });
    const { exit, report } = statusOf(last);
    assert.equal({ exit, failing: notPassed(report) }, { exit: 4, failing: [] });
    assertNothingFailed(last);
    assert.is.not(await guest.checksum(), before, 'what is written would be seen');
  }),
);

/** Returns the moments of a part, in the order of a boot. */
function moments(part: string): Moment[] {
  return momentLines.map(([after, most], index) => ({
    after,
    milliseconds: Math.floor(random(`${part} ${index}`) * most),
  }));
}

/** Asserts that the power was cut at the moment, and that no unit had failed before. */
function assertCut({ endedBy, console }: Boot, { after, milliseconds }: Moment): void {
  const moment = `cut ${milliseconds} ms after ${String(after)} (seed ${seed})`;
  assert.is(endedBy, 'power-cut', moment);
  assert.equal(failures(console), [], moment);
}

/** Returns systemd's status lines for units that failed. */
function failures(console: string): string[] {
  return console.split('\n').filter((line) => /\[(FAILED|DEPEND| TIME )|emergency|Kernel panic/.test(line));
}

powerCut('failures() finds units that failed on the console', () => {
  const [failed, depend] = ['[FAILED] Failed to mount sysroot.mount', '[DEPEND] Dependency failed for x'];
  assert.equal(failures(`[  OK  ] Mounted x\n${failed}\n${depend}\n`), [failed, depend]);
});

powerCut.run();
