import { open, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Edit } from '../harness/disk.ts';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import type { Drive } from '../harness/qemu.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import {
  type Boot,
  assertSealed,
  checkOf,
  look,
  notPassed,
  statusOf,
  withAgent,
} from '../harness/scenario.ts';
import { checksum, configureScratch, deviceStep, markDisk, statesOf, uuid } from '../harness/scratch.ts';

const failures = suite('SCRATCH on disks that fail');

const edit: Edit = (root) =>
  configureScratch(root, '/var/cache/app /srv/store:empty,exec /srv/strict:required', emptyDevice);

const observe = {
  device: deviceStep,
  seconds:
    'systemd-analyze; systemd-analyze blame | head -n 5; journalctl -b -o short-monotonic -u "immutafs-scratch*"',
  memory: 'echo x | tee /var/cache/app/new /srv/store/new /var/lib/new',
  strict: 'touch /srv/strict/new',
  ...look,
};

const sealed = { disk: 'readonly', uuid, limitSeconds: 500 } as const;

function assertInMemory(boot: Boot, reason: RegExp): void {
  assert.match(boot.step('device').stdout, reason);
  assert.equal(statesOf(boot), ['memory', 'memory', 'read-only'], boot.step('seconds').stdout);
  assert.is(boot.step('memory').exit, 0, boot.step('memory').stderr);
  assert.match(boot.step('strict').stderr, /Read-only file system/);
  const { report } = statusOf(boot);
  assert.equal(notPassed(report), ['scratch-paths']);
  assert.ok(checkOf(report, 'scratch-paths').remedy.length > 0);
}

failures('a disk that does not answer while it is formatted', () =>
  withEmptyDisk(900, async (drive) => {
    await markDisk(drive);
    await withAgent({ edit }, async (guest) => {
      const boot = await guest.boot({
        ...sealed,
        drives: [{ ...drive, fault: { hangsAfterBytes: 16_384 } }],
        steps: observe,
        powerCutAfter: 'failed',
      });
      assertInMemory(
        boot,
        /^STATE=failed\nREASON=\/dev\/vd\w is too slow: 60 s were not enough \(.*mkfs\.ext4 \d+ s\)\n/,
      );
      const [, minutes = '0', seconds = ''] =
        /^(?:(\d+)min )?([0-9.]+)s immutafs-scratch-device/m.exec(boot.step('seconds').stdout) ?? [];
      const limit = 60 * Number(minutes) + Number(seconds);
      assert.ok(limit > 55 && limit < 100, boot.step('seconds').stdout);
    });
  }),
);

/** Lines that open another device for SCRATCH, as a boot does, and print the result. */
const opened = (serial: string) => `
  sed 's,^SCRATCH_DEVICE=.*,SCRATCH_DEVICE=/dev/disk/by-id/virtio-${serial},' /etc/immutafs/immutafs.conf >/run/other.conf
  mount --bind /run/other.conf /etc/immutafs/immutafs.conf
  systemctl restart immutafs-scratch-device; umount /etc/immutafs/immutafs.conf; cat /run/immutafs/scratch-device`;

/** The disks of one guest, how they differ from a good one, and what a boot says about each. */
const disks: {
  serial: string;
  sizeMiB?: number;
  differs: Partial<Drive>;
  content?: [number, string];
  result: RegExp;
}[] = [
  {
    serial: 'reads',
    differs: { fault: { errors: 'read' } },
    result: /^STATE=failed\nREASON=\/dev\/vd\w cannot be read/,
  },
  {
    serial: 'host-readonly',
    differs: { readOnly: true },
    result: /^STATE=failed\nREASON=\/dev\/vd\w is on the read-only disk vd\w\n/,
  },
  {
    serial: 'small',
    sizeMiB: 63,
    differs: {},
    result: /^STATE=failed\nREASON=\/dev\/vd\w is too small: it has 63 MiB, and 64 MiB are needed\n/,
  },
  {
    serial: 'signature',
    differs: {},
    // The magic number of Btrfs (btrfs(5)).
    content: [65536 + 64, '_BHRfS_M'],
    result: /^STATE=failed\nREASON=\/dev\/vd\w has other data: byte 65600\n/,
  },
  { serial: 'good', differs: {}, result: /^STATE=ready\nREASON=\n/ },
];

failures('write errors at boot; in the same boot, disks that are not used, and a good one that is', () =>
  withEmptyDisk(200, (broken) =>
    withRunFolder(async (folder) => {
      await markDisk(broken);
      const drives: Drive[] = [];
      for (const { serial, sizeMiB = 80, differs, content } of disks) {
        const file = join(folder, serial);
        const drive: Drive = { serial, file, format: 'raw', readOnly: false, bus: 'virtio-blk', ...differs };
        await writeFile(file, '');
        await truncate(file, sizeMiB * 1024 * 1024);
        await markDisk(drive);
        if (content) await writeAt(file, ...content);
        drives.push(drive);
      }
      const before = await Promise.all(drives.map(checksum));
      await withAgent({ edit }, async (guest) => {
        const boot = await guest.boot({
          ...sealed,
          drives: [{ ...broken, fault: { errors: 'write' } }, ...drives],
          steps: { ...observe, ...Object.fromEntries(disks.map(({ serial }) => [serial, opened(serial)])) },
        });
        assertInMemory(boot, /^STATE=failed\nREASON=mkfs\.ext4 failed: /);
        for (const { serial, result } of disks) assert.match(boot.step(serial).stdout, result, serial);
        assert.is(boot.endedBy, 'poweroff');
        const after = await Promise.all(drives.map(checksum));
        const written = disks.filter((_, index) => before[index] !== after[index]);
        assert.equal(
          written.map(({ serial }) => serial),
          ['good'],
        );
      });
    }),
  ),
);

async function writeAt(path: string, position: number, text: string): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(text, position);
  await file.close();
}

const write = (name: string) =>
  `dd if=/dev/zero of=/srv/store/${name} bs=1M count=4 conv=fsync && dd if=/dev/zero of=/var/cache/app/${name} bs=1M count=4 conv=fsync`;
const elsewhere =
  'echo x >/var/lib/new && sync -f /var/lib/new && cat /srv/strict/of-the-disk /etc/os-release >/dev/null';

failures('a disk that hangs while it is in use, and answers again; then it is gone', () =>
  withEmptyDisk(900, async (drive) => {
    await markDisk(drive);
    await withAgent({ edit }, async (guest) => {
      const status = 'timeout 60 immutafs-agent status --json';
      const boot = await guest.boot({
        ...sealed,
        drives: [drive],
        steps: {
          ...look,
          write: write('before'),
          hang: `dmsetup suspend --noflush --nolockfs immutafs-scratch; { ${write('hanging')}; echo $? >/run/hanging; } >/dev/null 2>&1 &
            sleep 5; ! cat /run/hanging`,
          hangingStatus: status,
          hangingElsewhere: elsewhere,
          resume: `dmsetup resume immutafs-scratch; until cat /run/hanging 2>/dev/null; do sleep 1; done`,
          resumed: status,
          remove: `disk=$(readlink -f ${emptyDevice}); echo 1 >"$(readlink -f /sys/block/\${disk##*/}/device/..)/remove"; sleep 2; ls ${emptyDevice}`,
          gone: write('gone'),
          goneStatus: status,
          goneElsewhere: elsewhere,
        },
      });
      for (const name of ['write', 'hang', 'hangingElsewhere', 'resume', 'goneElsewhere'])
        assert.is(boot.step(name).exit, 0, `${name}: ${boot.step(name).stderr}`);
      assert.is(boot.step('resume').stdout, '0\n');
      for (const name of ['hangingStatus', 'resumed'])
        assert.equal(notPassed(statusOf(boot, name).report), []);
      assert.match(boot.step('gone').stderr, /Input\/output error/);
      const { report } = statusOf(boot, 'goneStatus');
      assert.equal([report.verdict, notPassed(report)], ['failed', ['persistent-mounts', 'scratch-paths']]);
      assert.match(checkOf(report, 'scratch-paths').observed, /or its disk is gone/);
      assertSealed(boot);
    });
  }),
);

failures.run();
