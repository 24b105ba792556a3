import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentTree } from '../harness/agent.ts';
import { withEmptyDisk } from '../harness/empty-disk.ts';
import { moveBoot } from '../harness/move-boot.ts';
import { treeWithPackages } from '../harness/packages.ts';
import { assertNothingFailed, layout, withAgent } from '../harness/scenario.ts';

const move = suite('the boot that moves data');

const [encrypted, plain] = ['1f5a0000-0000-4000-8000-000000000001', '1f5a0000-0000-4000-8000-000000000002'];
const directory = '/var/lib/app';
const space = layout({
  system: [{ target: '/', filesystem: 'ext4', sizeMiB: 1400, options: 'ro' }],
  home: null,
});

/** A store on an encrypted disk, whose file system has `nofail` and is mounted late. Nothing else needs the disk. */
async function withEncryptedStore(root: string): Promise<void> {
  await writeFile(join(root, 'etc/data.key'), 'key');
  await appendFile(join(root, 'etc/crypttab'), `data UUID=${encrypted} /etc/data.key luks,nofail\n`);
  const options = 'noexec,nosuid,nodev,nofail,x-systemd.device-timeout=60s';
  await appendFile(join(root, 'etc/fstab'), `UUID=${plain} /data ext4 ${options} 0 0\n`);
  await appendFile(join(root, 'etc/immutafs/immutafs.conf'), 'PERSIST=\nPERSIST_STORE=/data/store\n');
  const dropin = join(root, 'etc/systemd/system/data.mount.d');
  for (const each of [dropin, join(root, 'data'), join(root, directory)])
    await mkdir(each, { recursive: true });
  await writeFile(
    join(root, 'etc/systemd/system/late.service'),
    '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sleep 20\n',
  );
  await writeFile(join(dropin, 'late.conf'), '[Unit]\nWants=late.service\nAfter=late.service\n');
  await writeFile(join(root, directory, 'data'), 'kept\n');
}

const format = `disk=/dev/disk/by-id/virtio-empty
  cryptsetup luksFormat -q --uuid ${encrypted} --pbkdf pbkdf2 --pbkdf-force-iterations 1000 $disk /etc/data.key &&
  cryptsetup open --key-file /etc/data.key $disk data && mkfs.ext4 -q -U ${plain} /dev/mapper/data && udevadm settle && mount /data`;
const prepare = 'immutafs-agent prepare --only state --apply --yes';

move('opens an encrypted data disk, and waits for a file system with nofail', () =>
  withEmptyDisk(100, async (disk) => {
    const tree = await treeWithPackages('crypt-tree', await agentTree(), ['systemd-cryptsetup'], '');
    await withAgent({ tree, layout: space, edit: withEncryptedStore }, async (guest) => {
      const common = { drives: [disk] };
      const open = (steps: Record<string, string>, words: string[] = []) =>
        guest.boot({ ...common, disk: 'writable', arguments: words, steps });
      // The disk does not exist yet.
      const made = await open({ format, record: `${prepare} --move-state ${directory}` }, [
        'luks=no',
        'systemd.mask=data.mount',
      ]);
      assert.is(made.step('format').exit, 0, made.step('format').stderr);
      assert.is(made.step('record').exit, 1, made.step('record').stdout + made.step('record').stderr);
      const moved = await moveBoot(guest, common);
      assert.match(
        moved.console,
        /immutafs: \/var\/lib\/app moved to \/data\/store\//,
        moved.console.slice(-4000),
      );
      const after = await open({
        read: `cat ${directory}/data; findmnt -no SOURCE --mountpoint ${directory}`,
        failed: 'systemctl list-units --failed --plain --no-legend',
      });
      assert.is(after.step('read').stdout, 'kept\n/dev/mapper/data[/store/var=lib=app]\n');
      assertNothingFailed(after);
    });
  }),
);

/** A file system that is missing, a marker as `prepare` makes it, and a line on the console when the move begins. */
async function withMissingDisk(root: string): Promise<void> {
  const line = '/dev/disk/by-id/virtio-none /srv ext4 x-systemd.device-timeout=5s 0 0\n';
  await appendFile(join(root, 'etc/fstab'), line);
  await writeFile(join(root, 'etc/immutafs/move-at-boot'), '0\n');
  const dropin = join(root, 'etc/systemd/system/immutafs-move.service.d');
  await mkdir(dropin, { recursive: true });
  // With the emergency shell of the distribution, whose drop-in is of interest.
  await rm(join(root, 'etc/systemd/system/emergency.service.d/vmtest.conf'));
  await writeFile(join(dropin, 'said.conf'), '[Service]\nExecStartPre=/bin/echo immutafs-move begins\n');
}

move('a file system cannot be mounted: nothing moves, and the marker is removed', () =>
  withAgent({ layout: space, edit: withMissingDisk }, async (guest) => {
    const boot = await guest.boot({ disk: 'writable', steps: { ordinary: 'true' } });
    const end = boot.console.slice(-4000);
    assert.is(boot.endedBy, 'poweroff', end);
    assert.match(
      boot.console,
      /immutafs: data is not moved: a file system could not be mounted\. Rebooting/,
      end,
    );
    // Neither the move nor its end, which would reboot with the marker.
    assert.not.match(boot.console, /immutafs-move begins|immutafs: rebooting$/m, end);
  }),
);

move.run();
