import type { Impostor } from '../facts/boot/boot-env.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Verifies that no writable device carries the identity of a device on a sealed disk. */
export const impostorAbsent: Check = {
  id: 'impostor-absent',
  severity: 'advisory',
  isRequired: {
    reason: 'the initramfs did not mount the root from the sealed disk',
    test: ({ possibleRoots }) => 'value' in possibleRoots && possibleRoots.value.length > 0,
  },
  seal: false,
  messageId: 'f8fc9bcb4e9249b7bcfaa2abdb2b157e',
  documentation: {
    title: 'no writable device carries the identity of a sealed disk',
    means:
      "The check compares the identities of all block devices in udev's database: the UUID of a file system, swap, LUKS header, LVM physical volume or md array, the UUID of a partition and of a partition table, and a label if /etc/fstab or the kernel command line uses that label. No device on a writable disk has an identity of a device on a disk that the host made read-only, and the initramfs skipped no such device in this boot. Members of the same array, volume group or Btrfs may share an identity. Copies of an installation medium are also allowed. If the initramfs has not recorded that it mounted the root from the sealed disk, and the device has an identity of the disk below /, the check fails, because the machine may have started from that device.",
    why: 'The boot finds disks by these identities. By creating a writable copy of the system disk, root in the guest can make the next boot start different software. The initramfs of this package ignores the copy, but an initramfs without this package may use it. In addition, LVM may not activate the root file system if two physical volumes have the same UUID.',
    fix: 'Find out who made the copy. If the copy is an attack, have the host detach the disk and keep it as evidence. If the copy is a forgotten clone, have the host detach it, or remove its signatures in the guest: wipefs --all DEVICE destroys the content of the named device. If the copy must stay, give it new identities (xfs_admin -U generate, tune2fs -U random, vgimportclone, sgdisk -G).',
    page: 'threat-model.md',
  },
  evaluate: (facts) => {
    const pairs = byPair(unwrap(facts.impostors));
    const expected = 'no identity of a sealed disk on a writable device';
    const [first] = pairs;
    if (first === undefined) {
      return { status: 'pass', expected, observed: 'none' };
    }
    const isRoot = unwrap(facts.possibleRoots).length > 0;
    const shown = pairs.slice(0, 10).map(describe);
    const more = pairs.length > shown.length ? [`and ${pairs.length - shown.length} more`] : [];
    return {
      status: isRoot ? 'fail' : 'warn',
      subject: [...new Set(pairs.map(({ device }) => device))].slice(0, 10).join(' '),
      expected,
      observed: [...shown, ...more].join('; '),
      remedy: isRoot
        ? `The host may have left the disk from which the machine starts writable: verify in the host that ${first.device} is not on the system disk, and detach its disk.`
        : `The copy is an attack or a forgotten clone: detach the disk of ${first.device} in the host, or wipe ${first.device}.`,
    };
  },
};

interface Pair {
  device: string;
  sealedDevice: string;
  identities: string[];
}

function byPair(impostors: readonly Impostor[]): Pair[] {
  const pairs = Map.groupBy(impostors, ({ device, sealedDevice }) => `${device} ${sealedDevice}`);
  return [...pairs.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : [{ ...first, identities: group.map(({ identity }) => identity) }];
  });
}

function describe({ device, sealedDevice, identities }: Pair): string {
  return `${device} has ${identities.join(', ')} of ${sealedDevice}, which is on a sealed disk`;
}
