import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertRow, bootOptions, layoutOf } from '../harness/layout-boot.ts';
import { smokeRow } from '../harness/layout-rows.ts';
import { type Boot, assertSealed, look, varAndLogOnLvm, withAgent } from '../harness/scenario.ts';

/** The other layouts and buses are tested in `matrix/layouts.test.ts`. */
const sealed = suite('a read-only system disk');

/** Attempts of root to write to the system disk. The last command of each attempt fails. */
const writes = {
  'remount-root': 'mount -o remount,rw /',
  'remount-boot': 'mount -o remount,rw /boot',
  'write-disk': 'blockdev --setrw /dev/vda; dd if=/dev/urandom of=/dev/vda bs=4k count=1 oflag=direct',
  'format-partition': 'blockdev --setrw /dev/vda1; mkfs.ext4 -q -F /dev/vda1',
  'write-volume':
    'blockdev --setrw /dev/dm-0; dd if=/dev/urandom of=/dev/dm-0 bs=1M seek=1399 count=1 oflag=direct',
  'discard-disk': 'blkdiscard -f /dev/vda',
};

sealed('XFS on LVM: sealed; root cannot write to the disk; a reboot discards /var and keeps /home', () =>
  withAgent({ layout: layoutOf(smokeRow) }, async (guest) => {
    const { steps, ...options } = bootOptions(smokeRow);
    const marks = 'echo kept >/var/lib/mark && echo kept >/home/alice/mark && cat /var/lib/mark';
    const before = await guest.checksum();
    const first = await guest.boot({
      ...options,
      processors: 2,
      steps: { ...steps, marks, plant: 'touch /usr/bin/planted', ...writes },
    });
    const { disks } = assertRow(first, smokeRow);
    assert.equal(
      disks.map(({ name, bus, hostReadOnly }) => ({ name, bus, hostReadOnly })),
      [
        { name: 'vda', bus: 'virtio-blk', hostReadOnly: true },
        { name: 'vdb', bus: 'virtio-blk', hostReadOnly: false },
      ],
    );
    assert.is(first.step('marks').stdout, 'kept\n');
    assert.match(first.step('plant').stderr, /Read-only file system/);
    for (const name of Object.keys(writes)) assert.is.not(first.step(name).exit, 0, name);
    // A checksum that changes is tested in `long/power-cut.test.ts`.
    assert.is(await guest.checksum(), before);

    const read = {
      var: 'test -e /var/lib/mark',
      home: 'cat /home/alice/mark',
      links: 'ls -d /dev/block/immutafs/*',
      'device-units': 'systemctl list-units --all --plain --no-legend | grep "^dev-.*immutafs"',
    };
    const monitor = {
      nagios: 'immutafs-agent status --nagios',
      metrics: 'immutafs-agent status --prometheus',
    };
    const second = await guest.boot({ disk: 'readonly', steps: { ...look, ...monitor, ...read } });
    assertSealed(second);
    assertMonitored(second);
    assert.is(second.step('var').exit, 1);
    assert.is(second.step('home').stdout, 'kept\n');
    // Each device unit would delay the boot.
    assert.match(second.step('links').stdout, /\/by-uuid\n/);
    assert.is(second.step('device-units').stdout, '');
  }),
);

/**
 * Asserts what monitoring systems receive: a line of a plug-in with performance data, and valid metrics. The guest is
 * sealed, but two required checks warn, because it has no log server and is not prepared.
 */
function assertMonitored(boot: Boot): void {
  const { exit, stdout, stderr } = boot.step('nagios');
  assert.equal([exit, stderr], [1, ''], stdout);
  assert.match(
    stdout,
    /^IMMUTAFS WARNING - SEALED: the host enforces read-only; boot-inputs \(warn\): [^|\n]* \| checks_failed=0;[^|\n]* var_used=\d+B;[^|\n]*\n$/,
  );
  const input = boot.step('metrics').stdout;
  const promtool = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
  assert.equal([promtool.status, promtool.stdout, promtool.stderr], [0, '', '']);
  assert.match(input, '\nimmutafs_verdict{verdict="sealed"} 1\n');
}

sealed('/var and /var/log on their own volumes: sealed; changes to both are not on the volumes', () =>
  withAgent({ layout: varAndLogOnLvm }, async (guest) => {
    const write = 'echo x >/var/lib/mark && echo x >/var/log/mark && cat /var/lib/mark /var/log/mark';
    const boot = await guest.boot({ disk: 'readonly', steps: { ...look, write, volumes } });
    assertSealed(boot);
    assert.is(boot.step('write').stdout, 'x\nx\n');
    assert.equal(boot.step('volumes'), { exit: 0, stdout: 'dpkg\nprivate\n', stderr: '' });
  }),
);

/** Mounts the volumes a second time, where no overlay covers them, and prints what is there of some files. */
const volumes = `set -e
for volume in var var_log; do mkdir -p /run/twice/$volume; mount -o ro /dev/mapper/rhel-$volume /run/twice/$volume; done
cd /run/twice
for file in var/lib/mark var/lib/dpkg var_log/mark var_log/private; do [ ! -e $file ] || basename $file; done`;

sealed.run();
