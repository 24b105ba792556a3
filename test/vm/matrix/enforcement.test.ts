import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { type Boot, checkOf, look, notPassed, statusOf, withAgent } from '../harness/scenario.ts';

const enforcement = suite('enforcement: the host, the guest, or part of the disks');

const status = 'immutafs-agent status --json';
const diskOf = (report: Report, target: string) => report.disks.find(({ holds }) => holds.includes(target));

for (const bus of ['virtio-blk', 'virtio-scsi'] as const) {
  enforcement(`a guest that sets its own ${bus} disk read-only: enforcement is guest`, () =>
    withAgent({}, async (guest) => {
      const flag =
        'for disk in /dev/vd[a-z] /dev/sd[a-z]; do [ ! -b "$disk" ] || blockdev --setro "$disk"; done';
      const boot = await guest.boot({
        disk: 'writable',
        bus,
        steps: { before: status, flagged: `${flag}; ${status}` },
      });
      assert.is(statusOf(boot, 'before').report.enforcement, 'none');
      const { report, exit } = statusOf(boot, 'flagged');
      assert.is(report.enforcement, 'guest');
      assert.is(diskOf(report, '/')?.readOnly, true);
      assert.is(diskOf(report, '/')?.hostReadOnly, false);
      assert.is(exit, 1);
      assert.is(checkOf(report, 'host-enforced').status, 'fail');
    }),
  );
}

enforcement(
  'SCSI write protection: from the kernel log, from the boot record once the log is overwritten, or unknown',
  () =>
    withAgent({}, async (guest) => {
      const flood =
        'line=$(printf "%0900d" 0); i=0; while [ $i -lt 600 ]; do echo "$line" >/dev/kmsg; i=$((i + 1)); done; dmesg | grep -c "Write Protect"';
      const boot = await guest.boot({
        disk: 'readonly',
        bus: 'virtio-scsi',
        arguments: ['printk.devkmsg=on', 'log_buf_len=64K', 'loglevel=1'],
        steps: { now: status, flood, boot: status, forgotten: `rm /run/immutafs/report.json; ${status}` },
      });
      assert.match(
        diskOf(statusOf(boot, 'now').report, '/')?.evidence ?? '',
        /write protect is on, by the kernel's log$/,
      );
      assert.is(boot.step('flood').stdout, '0\n');
      const { report, exit } = statusOf(boot, 'boot');
      assert.match(diskOf(report, '/')?.evidence ?? '', /\(seen at boot\)$/);
      assert.equal([report.enforcement, exit], ['host', 0]);
      const after = statusOf(boot, 'forgotten');
      assert.equal([after.report.enforcement, after.exit], ['guest', 1]);
      assert.is(diskOf(after.report, '/')?.hostReadOnly, null);
    }),
);

enforcement(
  'dm-crypt and RAID 1: enforcement of the disks below them, partial if the disks differ',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stacks-'));
    try {
      for (const name of ['luks', 'raid-a', 'raid-b'])
        await execa('truncate', ['--size', '64M', join(folder, name)]);
      await withAgent({ edit: requireStacks }, async (guest) => {
        const drives = (readOnly: readonly string[]) =>
          ['luks', 'raid-a', 'raid-b'].map((serial) => ({
            ...({ serial, file: join(folder, serial), format: 'raw', bus: 'virtio-blk' } as const),
            readOnly: readOnly.includes(serial),
          }));
        const made = await guest.boot({ disk: 'writable', drives: drives([]), steps: { make } });
        assert.is(made.step('make').exit, 0, made.step('make').stderr);

        const sealed = await guest.boot({
          disk: 'readonly',
          drives: drives(['luks', 'raid-a', 'raid-b']),
          steps: { open, ...look },
        });
        const all = assertOpened(sealed);
        assert.equal([all.enforcement, notPassed(all)], ['host', []]);
        assert.is(all.disks.filter(({ holds }) => holds.includes('/srv')).length, 1);
        assert.equal(
          all.disks.filter(({ holds }) => holds.includes('/opt')).map(({ hostReadOnly }) => hostReadOnly),
          [true, true],
        );

        const half = await guest.boot({
          disk: 'readonly',
          drives: drives(['luks', 'raid-a']),
          steps: { open, ...look },
        });
        const some = assertOpened(half);
        assert.equal([some.enforcement, notPassed(some)], ['partial', ['host-enforced']]);
        assert.equal(
          some.disks.filter(({ holds }) => holds.includes('/opt')).map(({ hostReadOnly }) => hostReadOnly),
          [true, false],
        );
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

const requireStacks = (root: string) =>
  appendFile(join(root, 'etc/immutafs/immutafs.conf'), 'REQUIRE_READONLY=/ /boot /srv /opt\n');

const disk = (serial: string) => `/dev/disk/by-id/virtio-${serial}`;
const make = `
set -e
echo secret >/run/key
cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 ${disk('luks')} /run/key
cryptsetup open --key-file /run/key ${disk('luks')} stack
mkfs.ext4 -q /dev/mapper/stack
cryptsetup close stack
mdadm --create /dev/md/stack --run --metadata=1.2 --bitmap=none --level=1 --raid-devices=2 ${disk('raid-a')} ${disk('raid-b')}
mkfs.ext4 -q /dev/md/stack
mdadm --wait /dev/md/stack || true
mdadm --stop /dev/md/stack
`;
/** Assembles the RAID if udev has not assembled it yet. */
const open = `
set -e
echo secret >/run/key
cryptsetup open --readonly --key-file /run/key ${disk('luks')} stack
mount -o ro /dev/mapper/stack /srv
udevadm settle
md=$(ls /sys/class/block | grep ^md | head -n 1)
[ -n "$md" ] || { mdadm --assemble --run --readonly /dev/md127 ${disk('raid-a')} ${disk('raid-b')}; md=md127; }
mount -o ro "/dev/$md" /opt
ls "/sys/class/block/$md/slaves"
`;

function assertOpened(boot: Boot): Report {
  const { exit, stderr } = boot.step('open');
  assert.is(exit, 0, stderr);
  return statusOf(boot).report;
}

enforcement.run();
