import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Verifies that the file systems of a sealed disk are mounted from that disk and not from a copy. */
export const mountsGenuine: Check = {
  id: 'mounts-genuine',
  severity: 'required',
  seal: false,
  messageId: 'd2815d124809416ca8806807ea8f7793',
  documentation: {
    title: 'the system is mounted from its sealed disks',
    means:
      "If a disk that the host made read-only carries the identity that root= or mount.usr= on the kernel command line or a line of /etc/fstab names, then the mounted device is on that disk. No device below such a mount is a copy with the UUID of a device on a sealed disk, and no volume group below such a mount has the same name as a different volume group on a sealed disk. The check compares device numbers and identities in udev's database. It does not use the links below /dev/disk, which point to the device that udev processed last.",
    why: 'If the mounted file system is a copy, the guest runs the software of the copy, and changes that root makes there survive a reboot. Such a boot never counts as maintenance, because root in the guest can create a copy of the system disk on any writable disk.',
    fix: 'Do not trust this guest. Have the host power it off, detach the writable disk that holds the copy and keep that disk as evidence. Start the guest with the sealed disk as its only boot disk (docs/host.md). Then run immutafs-agent prepare to verify that every initramfs contains the hook of this version.',
    page: 'threat-model.md',
  },
  evaluate: (facts) => {
    const foreign = unwrap(facts.foreignMounts);
    const expected = 'mounted from the sealed disk';
    const [first] = foreign;
    if (first === undefined) {
      return { status: 'pass', expected, observed: 'no impostor is mounted' };
    }
    return {
      status: 'fail',
      subject: foreign.map(({ target }) => target).join(' '),
      expected,
      observed: foreign
        .map(
          ({ target, device, sealedDevice, identity }) =>
            `${target === '/' ? 'the system runs' : `${target} is mounted`} from the impostor ${device}: ${identity} is on the sealed ${sealedDevice}`,
        )
        .join('; '),
      remedy: `Power the guest off in the host, detach the disk of ${first.device}, keep it as evidence, and start the guest from its sealed disk.`,
    };
  },
};
