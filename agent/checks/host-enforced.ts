import type { Check } from './check.ts';
import type { Disk } from '../facts/disks/disks.ts';
import { unwrap } from '../facts/observed.ts';

/** Verifies that the host enforces read-only on every system disk, which no process in the guest can undo. */
export const hostEnforced: Check = {
  id: 'host-enforced',
  severity: 'required',
  seal: true,
  messageId: 'b47e8fd7ed454b45aae745b9a2bb9b5d',
  documentation: {
    title: 'the host enforces read-only on the system disks',
    means:
      "Every disk under / and the other targets of REQUIRE_READONLY reports that it is read-only: a virtio-blk disk by the feature VIRTIO_BLK_F_RO that the host offers, a SCSI disk by the write-protect bit that the kernel read. Only disks that root in the guest cannot create are accepted, by the drivers of the devices above them: virtio-blk and virtio-scsi on PCI, and pvscsi; not iSCSI, FCoE, USB, scsi_debug, other SCSI adapters or virtual devices. A device-mapper device or md array counts as its disks if the kernel's table or level returns their sectors as they are (linear, striped, mirror, raid1, multipath, crypt with the usual ciphers); otherwise it counts as a further disk that the host does not protect. A user other than root cannot read the tables, and relies on the last report of this boot. The read-only flag of a block device is not accepted, because root in the guest can set and clear it. If the host attaches a disk several times, as paths of a multipath device or without multipath, every path must be read-only. The check recognizes paths by their serial number in udev's database.",
    why: 'Root in the guest can clear the read-only flag of a mount or of a block device with one command, but cannot change a disk that the host attaches read-only.',
    fix: 'Shut the guest down and make each of its system disks read-only in the host: virt-xml DOMAIN --edit target=vda --disk readonly=on. This works for virtio-blk and virtio-scsi disks, not for IDE and SATA disks.',
    page: 'host.md',
  },
  evaluate: (facts) => {
    const disks = unwrap(facts.systemDisks).disks;
    const subject = disks.map(({ name }) => name).join(' ');
    const expected = 'read-only, enforced by the host';
    if (disks.length === 0) {
      const observed = 'no disk was found under the targets of REQUIRE_READONLY';
      return { status: 'fail', subject, expected, observed, remedy: 'Install the system on its own disk.' };
    }
    const open = disks.filter((disk) => disk.hostReadOnly !== true);
    const [first] = open;
    if (first === undefined) {
      return { status: 'pass', subject, expected, observed: describe(disks) };
    }
    return {
      status: facts.mode.forced ? 'warn' : 'fail',
      subject: open.map(({ name }) => name).join(' '),
      expected,
      observed: describe(open),
      remedy: remedyFor(first),
    };
  },
};

/** Returns the remedy for a disk; for a device of the guest itself, such as a device-mapper device, the host has none. */
function remedyFor({ name, bus }: Disk): string {
  if (bus === 'virtual') {
    return `Find out which process created ${name}. If it was not the boot, reboot the guest. Otherwise, install the system on a disk of the host without this layer.`;
  }
  return `Shut the guest down and make disk ${name} read-only in the host: virt-xml DOMAIN --edit target=${name} --disk readonly=on.`;
}

/** Returns the evidence for the disks. The name is omitted for a single disk, because the subject contains it. */
function describe(disks: readonly Disk[]): string {
  if (disks.length === 1) return disks[0]?.evidence ?? '';
  return disks.map(({ name, evidence }) => `${name}: ${evidence}`).join('; ');
}
