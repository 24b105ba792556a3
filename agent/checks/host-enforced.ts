import type { Check } from './check.ts';
import { type Disk } from '../observe/disks.ts';
import { sealedDisks } from '../observe/enforcement.ts';

/** Every disk under what must be read-only is so by the host's doing, which nothing in the guest can undo. */
export const hostEnforced: Check = {
  id: 'host-enforced',
  severity: 'required',
  seal: true,
  evaluate: (facts) => {
    const disks = sealedDisks(facts);
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

function describe(disks: Disk[]): string {
  return disks.map(({ name, evidence }) => `${name}: ${evidence}`).join('; ');
}
