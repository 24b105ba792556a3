import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** What a sealed disk holds is mounted from that disk. */
export const mountsGenuine: Check = {
  id: 'mounts-genuine',
  severity: 'required',
  seal: false,
  messageId: 'd2815d124809416ca8806807ea8f7793',
  documentation: {
    title: 'the system is mounted from its sealed disks',
    means:
      "Where a disk that the host made read-only carries the identity that root= and mount.usr= on the kernel command line or a line of /etc/fstab ask for, the mounted device is on that disk. No device below such a mount has the UUID of a device on a sealed disk, and no volume group below it has the name of another one on a sealed disk. The check compares device numbers and identities in udev's database. It does not use the links below /dev/disk, which point to the device that udev processed last.",
    why: 'The mounted file system is a copy, so the guest runs what the copy holds, and what root writes there survives a reboot. Such a boot is never maintenance: root in the guest can make a copy of the system disk on any writable disk.',
    fix: 'Do not trust this guest. Have the host power it off, detach the writable disk that holds the copy and keep that disk as evidence. Start the guest with the sealed disk as its only boot disk (docs/host.md). Then check that every initramfs holds the hook of this version: immutafs-agent prepare.',
  },
  evaluate: (facts) => {
    const foreign = unwrap(facts.foreignMounts);
    const expected = 'mounted from the sealed disk';
    const [first] = foreign;
    if (first === undefined) {
      return { status: 'pass', subject: '', expected, observed: 'no mount of an impostor', remedy: '' };
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
