import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentTree } from '../harness/agent.ts';
import type { BootOptions } from '../harness/guest.ts';
import { treeWithPackages } from '../harness/packages.ts';
import { assertSealed, checkOf, look, statusOf, withAgent } from '../harness/scenario.ts';
import type { Boot } from '../harness/scenario.ts';

/** Tests a system disk that the guest reaches by two paths of multipath-tools. */
const multipath = suite('a system disk with two paths');

/** The rules and the program that dracut does not install, because it knows only their names in RHEL. */
const rules = ['56-dm-mpath', '56-dm-parts', '60-multipath', '60-kpartx', '68-del-part-nodes'].map(
  (name) => `/usr/lib/udev/rules.d/${name}.rules`,
);

/** Every disk is a multipath device, as `mpathconf --enable --find_multipaths n` configures it. */
const configure = `
  mkdir /etc/multipath
  printf 'defaults {\\n  find_multipaths no\\n  user_friendly_names yes\\n}\\n' >/etc/multipath.conf
  sed -i 's/ multipath / /' /etc/dracut.conf.d/vmtest.conf
  cat >/etc/dracut.conf.d/multipath.conf <<'END'
add_dracutmodules+=" multipath "
add_drivers+=" dm_multipath dm_service_time "
install_items+=" ${[...rules, '/usr/lib/udev/kpartx_id'].join(' ')} "
END
  dracut --quiet --force --regenerate-all`;

const multipathTree = async () =>
  treeWithPackages('multipath-tree', await agentTree(), ['multipath-tools', 'kpartx'], configure);

const steps = { devices: 'lsblk --list --noheadings --output NAME,TYPE,MOUNTPOINT', ...look };

type Paths = Pick<BootOptions, 'disk' | 'secondPath'>;

async function withPaths(work: (boot: (paths: Paths) => Promise<Boot>) => Promise<void>): Promise<void> {
  await withAgent({ tree: await multipathTree() }, async (guest) => {
    const boot = (paths: Paths) => guest.boot({ ...paths, bus: 'virtio-scsi', steps });
    // multipathd records the names of the devices in /etc/multipath.
    const ordinary = await boot({ disk: 'writable' });
    assert.is(statusOf(ordinary).report.mode, 'maintenance');
    await work(boot);
  });
}

/** Asserts that the file systems of the system disk are mounted from the multipath device. */
function assertOnMultipath(boot: Boot): void {
  // The name may be the WWID, because the initramfs does not contain the names that multipathd chose before.
  assert.match(boot.step('devices').stdout, /^(\S+) +mpath *\n(.*\n)*?\1-part1 +part +\/boot$/m);
  assert.match(boot.step('devices').stdout, /^rhel-root +lvm /m);
}

multipath(
  'both paths read-only: sealed; one of them writable: enforced in part, and the check names it',
  () =>
    withPaths(async (boot) => {
      const sealed = await boot({ disk: 'readonly', secondPath: 'readonly' });
      assertOnMultipath(sealed);
      const { disks } = assertSealed(sealed);
      const system = disks.filter(({ holds }) => holds.includes('/'));
      assert.equal(
        system.map(({ hostReadOnly }) => hostReadOnly),
        [true, true],
      );

      for (const paths of [
        { disk: 'readonly', secondPath: 'writable' },
        { disk: 'writable', secondPath: 'readonly' },
      ] as const) {
        const mixed = await boot(paths);
        assertOnMultipath(mixed);
        const { report, exit } = statusOf(mixed);
        assert.equal(
          [report.mode, report.enforcement, report.verdict, exit],
          ['sealed', 'partial', 'failed', 1],
        );
        const writable = report.disks.filter(({ holds, readOnly }) => holds.includes('/') && !readOnly);
        assert.is(writable.length, 1);
        const { status, subject, observed } = checkOf(report, 'host-enforced');
        assert.equal([status, subject], ['fail', writable[0]?.name]);
        assert.match(observed, /^the block device is writable; another path to sd/);
      }
    }),
);

multipath.run();
