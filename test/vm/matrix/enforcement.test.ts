import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { assertOwnFlag, diskOf, flagged } from '../harness/own-flag.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import { ext4OnPartition } from '../harness/layout.ts';
import {
  type Boot,
  assertSealed,
  checkOf,
  configure,
  look,
  notPassed,
  statusOf,
  withAgent,
} from '../harness/scenario.ts';

/** A guest that sets its own virtio-blk disk read-only is tested in `package.test.ts`. */
const enforcement = suite('enforcement: the host, the guest, or part of the disks');

const { status } = look;

enforcement(
  'a guest that sets its own virtio-scsi disk read-only; the host write-protects SCSI disks, dm-crypt and RAID 1',
  () =>
    withRunFolder(async (folder) => {
      for (const name of stackDisks) await execa('truncate', ['--size', '64M', join(folder, name)]);
      await withAgent({ edit: configure('REQUIRE_READONLY=/ /boot /srv /opt\n') }, async (guest) => {
        const drives = (writable: readonly string[]) =>
          stackDisks.map((serial) => ({
            ...({ serial, file: join(folder, serial), format: 'raw', bus: 'virtio-blk' } as const),
            readOnly: !writable.includes(serial),
          }));
        const own = await guest.boot({
          disk: 'writable',
          bus: 'virtio-scsi',
          drives: drives(stackDisks),
          steps: { make, before: status, flagged },
        });
        assert.is(own.step('make').exit, 0, own.step('make').stderr);
        assertOwnFlag(own, 'before');

        // The last disk of the second array is writable.
        const boot = await guest.boot({
          disk: 'readonly',
          bus: 'virtio-scsi',
          drives: drives(['half-b']),
          arguments: ['printk.devkmsg=on', 'log_buf_len=64K', 'loglevel=1'],
          steps: { now: status, flood, boot: status, forgotten, open, ...look, openHalf, half: status },
        });
        assertEvidence(boot);
        assertStacks(boot);
      });
    }),
);

/** Overwrites the kernel's log. The timer must not write a report while the last one is moved away. */
const flood =
  'systemctl stop immutafs-check.timer; line=$(printf "%0900d" 0); i=0; while [ $i -lt 600 ]; do echo "$line" >/dev/kmsg; i=$((i + 1)); done; dmesg | grep -c "Write Protect"';
const forgotten = `mv /run/immutafs/report.json /run/kept; ${status}; code=$?; mv /run/kept /run/immutafs/report.json; exit $code`;

/** Asserts where the write protection is known from: the kernel's log, the boot's record, or not at all. */
function assertEvidence(boot: Boot): void {
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
}

/** Asserts the enforcement of the disks below dm-crypt and RAID 1, which is partial if the disks differ. */
function assertStacks(boot: Boot): void {
  const readOnlyBelow = ({ disks }: Report) =>
    disks.filter(({ holds }) => holds.includes('/opt')).map(({ hostReadOnly }) => hostReadOnly);
  for (const step of ['open', 'openHalf']) assert.is(boot.step(step).exit, 0, boot.step(step).stderr);
  const { report: all } = statusOf(boot);
  assert.equal([all.enforcement, notPassed(all)], ['host', []]);
  assert.is(all.disks.filter(({ holds }) => holds.includes('/srv')).length, 1);
  assert.equal(readOnlyBelow(all), [true, true]);

  const { report: some } = statusOf(boot, 'half');
  assert.equal([some.enforcement, notPassed(some)], ['partial', ['host-enforced']]);
  assert.equal(readOnlyBelow(some), [true, false]);
}

const stackDisks = ['luks', 'raid-a', 'raid-b', 'half-a', 'half-b'];
const disk = (serial: string) => `/dev/disk/by-id/virtio-${serial}`;
const make = `
set -e
echo secret >/run/key
cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 ${disk('luks')} /run/key
cryptsetup open --key-file /run/key ${disk('luks')} stack
mkfs.ext4 -q /dev/mapper/stack
cryptsetup close stack
for name in raid half; do
  mdadm --create /dev/md/$name --run --metadata=1.2 --bitmap=none --level=1 --raid-devices=2 ${disk('$name-a')} ${disk('$name-b')}
  mkfs.ext4 -q /dev/md/$name
  mdadm --wait /dev/md/$name || true
  mdadm --stop /dev/md/$name
done
`;
/** Mounts an array on /opt. Assembles the array if udev has not assembled it yet. */
const mountArray = (name: string) => `
set -e
udevadm settle
member=$(basename "$(realpath ${disk(`${name}-a`)})")
[ -n "$(ls "/sys/class/block/$member/holders")" ] || mdadm --assemble --run --readonly /dev/md/${name} ${disk(`${name}-a`)} ${disk(`${name}-b`)}
md=$(ls "/sys/class/block/$member/holders")
mount -o ro "/dev/$md" /opt
ls "/sys/class/block/$md/slaves"
`;
const open = `
set -e
echo secret >/run/key
cryptsetup open --readonly --key-file /run/key ${disk('luks')} stack
mount -o ro /dev/mapper/stack /srv
${mountArray('raid')}`;
const openHalf = `umount /opt\n${mountArray('half')}`;

/** The disks of the next scenario, with the line of fstab for each. */
const moreDisks = {
  usr: '/usr ext4 ro',
  opt: '/opt ext4 ro',
  data: '/srv/app ext4 noexec,nosuid,nodev',
};

enforcement('/usr and /opt on disks of their own: sealed only if the host makes them read-only, too', () =>
  withRunFolder(async (folder) => {
    const edit = async (root: string) => {
      for (const serial of Object.keys(moreDisks)) {
        const content = serial === 'usr' ? ['-d', join(root, 'usr')] : [];
        await execa('truncate', ['--size', serial === 'usr' ? '1200M' : '32M', join(folder, serial)]);
        await execa('mkfs.ext4', ['-q', '-m', '0', ...content, join(folder, serial)]);
      }
      await mkdir(join(root, 'srv/app'), { recursive: true });
      const lines = Object.entries(moreDisks).map(([serial, line]) => `${disk(serial)} ${line} 0 0\n`);
      await appendFile(join(root, 'etc/fstab'), lines.join(''));
    };
    const drives = (writable: readonly string[]) =>
      Object.keys(moreDisks).map((serial) => ({
        ...({ serial, file: join(folder, serial), format: 'raw', bus: 'virtio-blk' } as const),
        readOnly: !writable.includes(serial),
      }));
    await withAgent({ layout: ext4OnPartition, edit }, async (guest) => {
      const steps = { ...look, usr: 'findmnt -no FSTYPE,OPTIONS /usr', record: 'cat /run/immutafs/boot.env' };
      const open = await guest.boot({
        disk: 'readonly',
        drives: drives(['usr', 'opt', 'data']),
        steps: { ...steps, manual: `umount /srv/app && mount ${disk('data')} /mnt; ${status}` },
      });
      assert.match(open.step('usr').stdout, /^ext4 ro,/);
      const { report, exit } = statusOf(open);
      assert.equal(
        [report.mode, report.verdict, report.enforcement, exit, notPassed(report)],
        ['sealed', 'failed', 'partial', 1, ['host-enforced']],
      );
      assert.match(checkOf(report, 'host-enforced').observed, /mounted at \/usr; .*mounted at \/opt$/);
      assert.equal(dataOf(report), [
        ['/home', 'home'],
        ['/srv/app', 'fstab-data'],
      ]);
      const manual = statusOf(open, 'manual').report;
      // fstab mounts the disk on /srv/app.
      assert.equal(notPassed(manual), ['host-enforced', 'persistent-mounts', 'fstab-consistent']);
      assert.is(checkOf(manual, 'persistent-mounts').subject, '/mnt');

      const sealed = await guest.boot({ disk: 'readonly', drives: drives(['data']), steps });
      assert.equal(dataOf(assertSealed(sealed)), [
        ['/home', 'home'],
        ['/srv/app', 'fstab-data'],
      ]);
    });
  }),
);

const dataOf = ({ data }: Report) => data.map(({ target, rule }) => [target, rule]).sort();

enforcement.run();
