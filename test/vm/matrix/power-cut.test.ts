import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Moment } from '../harness/moment.ts';
import {
  assertNothingFailed,
  assertSealed,
  look,
  notPassed,
  statusOf,
  withAgent,
} from '../harness/scenario.ts';
import type { Boot } from '../harness/scenario.ts';
import { random, seed } from '../harness/seed.ts';

/**
 * Cuts in each part of the test: one somewhere in each tenth of a boot, from the kernel's start to the power-off.
 *
 * That the next boot comes up is proved for each of the twenty by one boot that settles in either part:
 * - Sealed: nothing of a boot is left but what is on the disks. The system's disk is the same, byte for byte, as
 *   before a boot that settled. What is on /home the maintenance part mounts.
 * - Maintenance: the moments ascend, so each boot goes through what the one before it was cut in, finds what all
 *   cuts before it left, and goes on past it with nothing failed; the last one settles.
 */
const cuts = 10;

/** What the root of a guest can try; the last command of each fails. */
const writes = {
  root: 'mount -o remount,rw /',
  boot: 'mount -o remount,rw /boot',
  disk: 'blockdev --setrw /dev/vda; dd if=/dev/urandom of=/dev/vda bs=4k count=1 oflag=direct',
  partition: 'blockdev --setrw /dev/vda1; mkfs.ext4 -q -F /dev/vda1',
  volume: 'blockdev --setrw /dev/dm-0; dd if=/dev/urandom of=/dev/dm-0 bs=1M seek=1399 count=1 oflag=direct',
  discard: 'blkdiscard -f /dev/vda',
};

/** Says on the console how far it is. */
const telling = { arguments: ['systemd.show_status=1'] };

const powerCut = suite('power cuts');

powerCut('in a sealed boot and in maintenance: the next one comes up; the sealed disk stays as it is', () =>
  withAgent({}, async (guest) => {
    const settled = await guest.boot({ disk: 'readonly', ...telling, steps: { ...look, ...writes } });
    assertSealed(settled);
    for (const name of Object.keys(writes)) assert.is.not(settled.step(name).exit, 0, name);
    const before = await guest.checksum();
    const lines = settled.console.split('\n').length - 1;

    for (const powerCutAt of moments('sealed', lines)) {
      assertCut(await guest.boot({ disk: 'readonly', ...telling, powerCutAt }), powerCutAt);
    }
    assert.is(await guest.checksum(), before);

    for (const powerCutAt of moments('maintenance', lines)) {
      assertCut(await guest.boot({ disk: 'writable', ...telling, powerCutAt }), powerCutAt);
    }
    const last = await guest.boot({ disk: 'writable', ...telling, steps: look });
    const { exit, report } = statusOf(last);
    assert.equal({ exit, failing: notPassed(report) }, { exit: 4, failing: [] });
    assertNothingFailed(last);
    assert.is.not(await guest.checksum(), before, 'what is written would be seen');
  }),
);

/** One in each tenth of a boot whose console has so many lines; the end is not the same in all boots. */
function moments(part: string, lines: number): Moment[] {
  return Array.from({ length: cuts }, (_, tenth) => ({
    after: Math.floor(((tenth + random(`${part} ${tenth}`)) / cuts) * lines * 0.95),
    milliseconds: Math.floor(random(`${part} ${tenth} then`) * 500),
  }));
}

/** The boot came as far as it was let, and nothing had failed by then. */
function assertCut({ endedBy, console }: Boot, { after, milliseconds }: Moment): void {
  const moment = `cut ${milliseconds} ms after line ${String(after)} (seed ${seed})`;
  assert.is(endedBy, 'power-cut', moment);
  assert.equal(failures(console), [], moment);
}

/** systemd's words for what did not come up, with show_status. */
function failures(console: string): string[] {
  return console.split('\n').filter((line) => /\[(FAILED|DEPEND| TIME )|emergency|Kernel panic/.test(line));
}

powerCut('what does not come up would be seen on the console', () => {
  const [failed, depend] = ['[FAILED] Failed to mount sysroot.mount', '[DEPEND] Dependency failed for x'];
  assert.equal(failures(`[  OK  ] Mounted x\n${failed}\n${depend}\n`), [failed, depend]);
});

powerCut.run();
