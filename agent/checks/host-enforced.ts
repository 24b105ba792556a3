import type { Check } from './check.ts';
import type { Disk } from '../facts/disks/disks.ts';
import { unwrap } from '../facts/observed.ts';

/** Every disk under what must be read-only is so by the host's doing, which nothing in the guest can undo. */
export const hostEnforced: Check = {
  id: 'host-enforced',
  severity: 'required',
  seal: true,
  messageId: 'b47e8fd7ed454b45aae745b9a2bb9b5d',
  documentation: {
    title: "the host keeps the system's disks read-only",
    means:
      "Every disk under / and the other targets of REQUIRE_READONLY says itself that it is read-only: virtio-blk by a feature that the host offered, SCSI by the write-protect bit that the kernel saw. A block device's own flag is no such word.",
    why: 'A flag of a mount or of a block device is lifted by root in the guest with one command. What the host keeps read-only stays so, whoever is root.',
    fix: "Shut the guest down and make each of its system's disks read-only in its host: virt-xml DOMAIN --edit target=vda --disk readonly=on. virtio-blk and virtio-scsi disks can be; IDE and SATA disks cannot.",
  },
  evaluate: (facts) => {
    const disks = unwrap(facts.systemDisks).disks;
    const subject = disks.map(({ name }) => name).join(' ');
    const expected = 'made read-only by the host';
    if (disks.length === 0) {
      const observed = 'no disk is known under the targets of REQUIRE_READONLY';
      return { status: 'fail', subject, expected, observed, remedy: 'Put the system on a disk of its own.' };
    }
    const open = disks.filter((disk) => disk.hostReadOnly !== true);
    const [first] = open;
    if (first === undefined) {
      return { status: 'pass', subject, expected, observed: describe(disks), remedy: '' };
    }
    return {
      status: facts.mode.forced ? 'warn' : 'fail',
      subject: open.map(({ name }) => name).join(' '),
      expected,
      observed: describe(open),
      remedy: `Shut the guest down and make disk ${first.name} read-only in its host: virt-xml DOMAIN --edit target=${first.name} --disk readonly=on.`,
    };
  },
};

/** The subject names a single disk. */
function describe(disks: readonly Disk[]): string {
  if (disks.length === 1) return disks[0]?.evidence ?? '';
  return disks.map(({ name, evidence }) => `${name}: ${evidence}`).join('; ');
}
