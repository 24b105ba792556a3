import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import { type Boot, assertSealed, look, notPassed, statusOf, withAgent } from '../harness/scenario.ts';
import {
  configureScratch,
  contains,
  deviceStep,
  isMarked,
  markDisk,
  statesOf,
  uuid,
} from '../harness/scratch.ts';

const marker = 'a-marker-that-no-boot-may-find';
const items = '/var/cache/app /srv/store:empty,exec /srv/strict:required';
const paths = items.replaceAll(/:\S+/g, '');

const stop = 'echo "stopped at the point" >/dev/console; sleep infinity';

/**
 * The points of the set-up at which the power is cut, in their order: a program, and lines of sh that run instead of it.
 * `real` runs the program.
 */
const points: [point: string, program: string, lines: string][] = [
  ['the key exists, and nothing was written with it', '/usr/sbin/mkfs.ext4', 'stop'],
  [
    'a part of the file system is on the disk',
    '/usr/sbin/mkfs.ext4',
    `disk=$(readlink -f /dev/mapper/immutafs-scratch); real "$@" & pid=$!
     until read -r _ _ _ _ _ _ sectors _ <"/sys/class/block/\${disk##*/}/stat" && [ "$sectors" -gt 0 ]; do :; done
     kill -STOP $pid && grep State: /proc/$pid/status >/dev/console; stop`,
  ],
  ['the file system is complete', '/usr/sbin/mkfs.ext4', 'real "$@" && sync && stop'],
  [
    'one of three paths is mounted',
    '/usr/libexec/immutafs/immutafs-boot',
    // One process mounts all of them: its configuration has the first one only.
    `[ "$1" = scratch ] || exec /mnt/immutafs-boot "$@"
     sed 's#^SCRATCH=.*#SCRATCH=${items.split(' ')[0]}#' /etc/immutafs/immutafs.conf >/mnt/conf
     mount --bind /mnt/conf /etc/immutafs/immutafs.conf; real "$@" && stop`,
  ],
  [
    'all paths are mounted and in use',
    '/usr/bin/true',
    `for each in ${paths}; do echo ${marker} >$each/marker; done; sync; stop`,
  ],
];

/** Undoes the set-up of the boot, and repeats it up to a point. */
function repeatUpTo(program: string, lines: string): string {
  const name = program.split('/').at(-1);
  return `systemctl stop immutafs-scratch-trim; umount ${paths} /run/immutafs/below/srv+strict && /usr/libexec/immutafs/immutafs-boot scratch-close || exit
    [ ! -e /dev/mapper/immutafs-scratch ] || exit
    mount -t tmpfs none /mnt; cp ${program} /mnt/${name}
    cat >/mnt/shim <<'END'
#!/bin/sh
real() { /mnt/${name} "$@"; }
stop() { ${stop}; }
${lines}
END
    chmod +x /mnt/shim; mount --bind /mnt/shim ${program}
    systemctl restart immutafs-scratch-device && /usr/libexec/immutafs/immutafs-boot scratch && /usr/bin/true
    echo 'the set-up ended' >/dev/console`;
}

const steps = {
  device: deviceStep,
  content: `for each in ${paths}; do ls -A $each; done`,
  mounts: `findmnt -rn -o TARGET,FSTYPE ${paths}`,
  write: `for each in ${paths}; do echo ${marker} >$each/marker; done; sync`,
  ...look,
};

/** Asserts that nothing of earlier boots is there, and that all paths are on the device. */
function assertComplete(boot: Boot, after: string): void {
  assert.match(boot.step('device').stdout, /^STATE=ready\n/, after);
  const { report, exit } = statusOf(boot);
  assert.equal([exit, report.verdict, notPassed(report)], [0, 'sealed', []], after);
  assert.equal(statesOf(boot), ['disk', 'disk', 'disk'], after);
  assert.is(boot.step('content').stdout, 'of-the-disk\nof-the-disk\n', after);
  assert.is(boot.step('write').exit, 0, after);
  assert.is(boot.step('failed').stdout, '', after);
}

const powerCut = suite('power cuts while SCRATCH is set up');

powerCut('at five points: the next boot is sealed and complete, and has nothing of the earlier one', () =>
  withEmptyDisk(4000, async (drive) => {
    await markDisk(drive);
    await withAgent({ edit: (root) => configureScratch(root, items, emptyDevice) }, async (guest) => {
      const common = { disk: 'readonly' as const, drives: [drive], uuid };
      let before = 'before the first power cut';
      for (const [point, program, lines] of points) {
        const boot = await guest.boot({
          ...common,
          steps: { ...steps, cut: repeatUpTo(program, lines) },
          powerCutAt: { after: /stopped at the point$/m, milliseconds: 0 },
        });
        assertComplete(boot, before);
        const step = boot.endedBy === 'power-cut' ? '' : boot.step('cut').stderr;
        assert.is(boot.endedBy, 'power-cut', `${point}: ${step}`);
        assert.not.match(boot.console, /the set-up ended$/m);
        assert.ok(await isMarked(drive), point);
        assert.not.ok(await contains(drive, marker), point);
        before = `after the power cut when ${point}`;
      }
      const last = await guest.boot({ ...common, steps });
      assertComplete(last, before);
      assertSealed(last);
    });
  }),
);

powerCut.run();
