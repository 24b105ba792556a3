import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withDataDisk } from '../harness/data-disk.ts';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import { type Boot, assertSealed, look, withAgent } from '../harness/scenario.ts';
import { configureScratch, contains, markDisk, statesOf, uuid } from '../harness/scratch.ts';

const memory = suite('SCRATCH: more than the memory');

const marker = 'a-marker-that-the-raw-image-must-not-have';
const sizeMiB = 4096;

/**
 * Prints, in KiB, the memory that is available and that of all tmpfs together (meminfo in proc(5)), and the size of the
 * layers of /var.
 */
const measure = `sync; awk '/^(MemAvailable|Shmem):/ { print $2 }' /proc/meminfo; df -k --output=used /run/var | tail -n 1`;

interface Measured {
  available: number;
  tmpfs: number;
  layers: number;
}

/** Returns what `measure` has printed, in MiB. */
function measured(boot: Boot, step: string): Measured {
  const { stdout } = boot.step(step);
  const [available, tmpfs, layers] = stdout
    .trim()
    .split(/\s+/)
    .map((each) => Number(each) / 1024);
  if (available === undefined || tmpfs === undefined || layers === undefined) throw new Error(stdout);
  return { available, tmpfs, layers };
}

/** Makes a block of 16 MiB that repeats the marker. `write` repeats the block. */
const makeBlock = `yes ${marker} | head -c 16M >/run/block`;

/** Writes a file of such blocks until it has the size or there is no space left, and prints its size in bytes. */
const write = (file: string, size = sizeMiB) =>
  `for each in $(seq ${size / 16}); do cat /run/block || break; done >${file}; sync -f ${file}; stat -c %s ${file}`;

/** Runs lines of sh. The last line that it prints is the least memory that was available meanwhile, in KiB. */
const watched = (lines: string) => `
  while sleep 0.5; do grep MemAvailable /proc/meminfo; done >/run/available & watcher=$!
  ${lines}
  kill $watcher; tr -dc '0-9\n' </run/available | sort -n | head -n 1`;

memory(
  '4 GiB in a guest with 1 GiB: the memory stays free, and the directory is empty after the reboot',
  () =>
    withDataDisk((plain) =>
      withEmptyDisk(sizeMiB + 512, async (drive) => {
        await markDisk(drive);
        const edit = (root: string) => configureScratch(root, '/var/cache/app:empty', emptyDevice);
        await withAgent({ edit }, async (guest) => {
          const common = {
            disk: 'readonly' as const,
            drives: [drive, plain],
            uuid,
            aes: true,
            memoryMiB: 1024,
          };
          const boot = await guest.boot({
            ...common,
            steps: {
              makeBlock,
              before: measure,
              write: watched(write('/var/cache/app/large')),
              after: measure,
              ...look,
              plain: `mount /dev/disk/by-id/virtio-${plain.serial} /mnt; ${write('/mnt/small', 16)}; umount /mnt`,
              twin: write('/var/lib/large'),
              afterTwin: measure,
            },
            limitSeconds: 1500,
          });
          assertSealed(boot);
          assert.equal(statesOf(boot), ['disk']);
          const [size, lowest] = boot.step('write').stdout.trim().split('\n').map(Number);
          assert.is(size, sizeMiB * 1024 * 1024, boot.step('write').stderr);
          const [before, after, twin] = ['before', 'after', 'afterTwin'].map((step) => measured(boot, step));
          if (!before || !after || !twin || lowest === undefined) throw new Error('not measured');
          const all = JSON.stringify({ before, lowest: lowest / 1024, after, twin });
          assert.ok(lowest / 1024 > before.available - 100, all);
          assert.ok(after.available > before.available - 40, all);
          assert.ok(after.tmpfs < before.tmpfs + 4 && after.layers < before.layers + 4, all);
          assert.not.ok(await contains(drive, marker), 'the raw image has the marker');

          // The twins: the marker on a disk without encryption, and the same file in /var, which is in memory.
          assert.ok(await contains(plain, marker), 'the marker is not found where it is');
          assert.match(boot.step('twin').stderr, /No space left on device/);
          assert.ok(twin.layers > before.layers + 200 && twin.available < before.available - 150, all);

          const next = await guest.boot({ ...common, steps: { ...look, content: 'ls -A /var/cache/app' } });
          assertSealed(next);
          assert.equal(statesOf(next), ['disk']);
          assert.is(next.step('content').exit, 0);
          assert.is(next.step('content').stdout, '');
        });
      }),
    ),
);

memory.run();
