import { appendFile, copyFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { denialsStep } from '../harness/denials.ts';
import type { Edit } from '../harness/disk.ts';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import { labelFiles } from '../harness/mounts.ts';
import type { Drive } from '../harness/qemu.ts';
import {
  type Boot,
  assertNothingFailed,
  assertSealed,
  checkOf,
  enforcing,
  look,
  notPassed,
  statusOf,
  withAgent,
} from '../harness/scenario.ts';
import {
  checksum,
  configureScratch,
  contains,
  deviceStep,
  isMarked,
  markDisk,
  statesOf,
  uuid,
} from '../harness/scratch.ts';

const scratch = suite('SCRATCH');
const marker = 'a-marker-that-the-raw-image-must-not-have';
const items = '/var/cache/app /var/lib/copied:copy /srv/store:empty,exec /srv/strict:required';

const configure: Edit = async (root, mounts) => {
  await configureScratch(root, items, emptyDevice);
  await appendFile(join(root, 'etc/immutafs/immutafs.conf'), 'VAR_SIZE=40m\n');
  await labelFiles(mounts, '/etc/immutafs', '/var/cache/app', '/var/lib/copied', '/srv');
};

const observe = {
  device: deviceStep,
  mounts: `findmnt -rn -o TARGET,FSTYPE,OPTIONS | grep -E "^(/var/cache/app|/var/lib/copied|/srv/|/run/immutafs/scratch-disk)" | sort`,
  content: 'for d in /var/cache/app /var/lib/copied /srv/store /srv/strict; do ls -A $d; done',
  strict: 'touch /srv/strict/new',
  seconds:
    'systemd-analyze blame | grep immutafs-scratch; journalctl -b -o short-monotonic -u "immutafs-scratch*"',
  ...look,
};
/** More than /var may hold. */
const write = `printf '%s\n' ${marker} | tee /var/cache/app/marker /srv/store/marker /var/lib/copied/marker &&
dd if=/dev/zero of=/var/cache/app/large bs=1M count=200 conv=fsync && sync`;

/** The space on the host, in MiB. */
const allocated = async ({ file }: Drive) => ((await stat(file)).blocks * 512) / 1024 / 1024;

function assertOnDevice(boot: Boot): void {
  const device = boot.step('device').stdout;
  assert.match(device, /^STATE=ready\nREASON=\nREMEDY=\nDEVICE=\d+:\d+\n$/, boot.step('seconds').stdout);
  assertSealed(boot);
  assert.equal(statesOf(boot), ['disk', 'disk', 'disk', 'disk']);
  assert.is(
    boot.step('content').stdout,
    'of-the-disk\nof-the-disk\nof-the-disk\n',
    'nothing of earlier boots',
  );
  assert.match(
    boot.step('mounts').stdout,
    /^\/run\/immutafs\/scratch-disk ext4 rw,nosuid,nodev,noatime\S*\n\/srv\/store ext4 rw,nosuid,nodev,noatime\S*\n\/srv\/strict overlay rw,nosuid,nodev,noexec\S*\n\/var\/cache\/app overlay rw,nosuid,nodev,noexec\S*\n\/var\/lib\/copied ext4 rw,nosuid,nodev,noexec\S*\n$/,
  );
}

function assertRefused(boot: Boot, reason: RegExp): void {
  assert.match(boot.step('device').stdout, reason);
  assert.equal(statesOf(boot), ['memory', 'memory', 'memory', 'read-only']);
  const { report } = statusOf(boot);
  assert.equal(notPassed(report), ['scratch-paths']);
  assert.match(checkOf(report, 'scratch-paths').observed, /^\/srv\/strict: read-only, /);
  assert.match(boot.step('strict').stderr, /Read-only file system/);
  assert.is(boot.endedBy, 'poweroff');
}

scratch('a marked disk forgets at every sealed boot; no other disk is formatted', () =>
  withEmptyDisk(900, (drive) =>
    withEmptyDisk(900, (other) =>
      withAgent({ edit: configure }, async (guest) => {
        const copy: Drive = { ...other, serial: 'copy' };
        const boot = (steps: Record<string, string>, drives = [drive]) =>
          guest.boot({ disk: 'readonly', drives, uuid, limitSeconds: 600, steps: { ...observe, ...steps } });

        const blank = await checksum(drive);
        assertRefused(await boot({}), /^STATE=failed\nREASON=\/dev\/vd. has no mark\n/);
        assert.is(await checksum(drive), blank, 'the unmarked disk was written to');

        const prepare = `immutafs-agent prepare --apply --yes --only scratch --scratch-device ${emptyDevice}`;
        const maintenance = await guest.boot({
          ...{ disk: 'writable', drives: [drive], uuid },
          steps: { mounts: observe.mounts, prepare, ...look },
        });
        assert.is(maintenance.step('mounts').stdout, '');
        assert.is(maintenance.step('prepare').exit, 0, maintenance.step('prepare').stdout);
        assert.equal(statesOf(maintenance), ['inactive', 'inactive', 'inactive', 'inactive']);
        await copyFile(drive.file, copy.file);
        const marked = await checksum(copy);
        assert.ok(await isMarked(drive));

        const impostor = '/usr/libexec/immutafs/immutafs-boot scratch-check /dev/disk/by-id/virtio-copy';
        const program =
          'cp /bin/sleep /srv/store/program && { setsid /srv/store/program 300 >/dev/null 2>&1 & }';
        const first = await boot(
          {
            ...{ impostor, write, program, programs: look.status },
            changes: 'immutafs-agent changes --json /var/cache/app',
          },
          [{ ...drive, unmap: true }, copy],
        );
        console.log(first.step('seconds').stdout);
        assertOnDevice(first);
        assert.match(
          first.step('impostor').stdout,
          /has the mark of another device: \/dev\/disk\/by-id\/virtio-empty/,
        );
        assert.is(await checksum(copy), marked, 'the copy of the disk was written to');
        assert.is(first.step('write').exit, 0, first.step('write').stderr);
        assert.ok((await allocated(drive)) < 10, 'the end of the boot gave the space back to the host');
        assert.ok(await isMarked(drive));
        const changes = first.step('changes').stdout.trimEnd().split('\n');
        assert.equal(changes.map((line) => (JSON.parse(line) as { path: string }).path).sort(), [
          '/var/cache/app/large',
          '/var/cache/app/marker',
        ]);
        const { programs } = statusOf(first, 'programs').report;
        assert.ok(programs?.list.some(({ path }) => path === '/srv/store/program'));

        const cut = await guest.boot({
          ...{ disk: 'readonly', drives: [drive, copy], uuid, powerCutAfter: 'plain' },
          steps: { write, plain: `printf ${marker} | dd of=/dev/disk/by-id/virtio-copy conv=fsync` },
        });
        assert.is(cut.endedBy, 'power-cut');
        assert.is(cut.step('write').exit, 0, cut.step('write').stderr);
        assert.ok((await allocated(drive)) > 200, 'the twin: the boot did not end');
        assert.not.ok(await contains(drive, marker));
        assert.ok(await contains(copy, marker), 'the twin: a disk that is not encrypted');

        const plain = await boot({});
        assertOnDevice(plain);
        assert.is(plain.endedBy, 'poweroff');
        assert.ok((await allocated(drive)) > 200, 'the twin: a disk without discard');
        assertRefused(
          await boot({}, []),
          /^STATE=failed\nREASON=\/dev\/disk\/by-id\/virtio-empty does not exist\n/,
        );
      }),
    ),
  ),
);

scratch('SELinux in enforcing mode: the labels of the directories on the disk, and no denial', () =>
  withEmptyDisk(300, async (drive) => {
    await markDisk(drive);
    await withAgent({ edit: configure }, async (guest) => {
      const label = `for d in /var/cache/app /var/lib/copied /srv/store /srv/strict; do touch $d/new; stat -c '%n %C' $d $d/new; done`;
      const fill = 'dd if=/dev/zero of=/var/cache/app/large bs=1M count=50 conv=fsync';
      const steps = { ...observe, label, fill, enforce: 'getenforce', denials: denialsStep };
      const boot = await guest.boot({
        disk: 'readonly',
        drives: [{ ...drive, unmap: true }],
        uuid,
        arguments: enforcing,
        steps,
      });
      assert.is(boot.step('enforce').stdout, 'Enforcing\n');
      assert.not.match(boot.step('denials').stdout, /immutafs|scratch|dev="overlay"|dev="dm-[1-9]"/);
      assertOnDevice(boot);
      const types = [...boot.step('label').stdout.matchAll(/^(\S+) \S+:(\w+):s0$/gm)].map(
        ([, ...each]) => each,
      );
      const expected = {
        '/var/cache/app': 'var_t',
        '/var/lib/copied': 'var_lib_t',
        '/srv/store': 'var_t',
        '/srv/strict': 'var_t',
      };
      assert.equal(
        types,
        Object.entries(expected).flatMap(([path, type]) => [
          [path, type],
          [`${path}/new`, type],
        ]),
      );
      assertNothingFailed(boot);
      assert.ok((await allocated(drive)) < 10, 'the end of the boot gave the space back to the host');
    });
  }),
);

scratch.run();
