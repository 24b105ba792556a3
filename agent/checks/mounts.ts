import type { AssessedFacts } from '../assess/assess.ts';
import { requiredOptions } from '../facts/mounts/targets.ts';
import { words } from '../config/config.ts';
import { shortList } from '../lib/format.ts';
import { coversInput } from '../facts/inputs.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import { unwrap, valueOf } from '../facts/observed.ts';
import { isBoundOnItself } from '../assess/mount-origin.ts';
import type { UnexplainedMount } from '../assess/unexplained-mounts.ts';
import type { Check } from './check.ts';

export const stackedMounts: Check = {
  id: 'stacked-mounts',
  messageId: '42764ab9e90d489299e76d121fe62a37',
  title: 'no mount hides another mount or files that the seal depends on',
  means:
    "According to the mount table there is at most one mount at each of /, /var, /run, /proc, /sys, /dev, /etc and /usr, at the layers of /var and of OVERLAY, at every target of REQUIRE_READONLY and REQUIRE_OPTIONS, and at every mount point of /etc/fstab. An automount point and the file system that is mounted on it at the first access count as one mount. Nothing, except an overlay of OVERLAY, a path of PERSIST or a mount of /etc/fstab, is mounted over the inputs of the agent: /etc and /usr, if they are mount points, are on the same disk as /; nothing is mounted over or in the directories of programs and libraries (/usr/bin, /usr/sbin, /usr/lib, /usr/lib64, /usr/libexec), the configuration of the agent, of SELinux, of auditd, of systemd, of TLS and of other overlay programs, fstab, mtab, passwd, the boot record, the last report and udev's database. Over /etc, /usr, /opt and /root, inside the layers in memory and inside the paths of PERSIST, every mount is one that /etc/fstab, a mount unit of the system disk or the boot made, or a disk at a target of REQUIRE_READONLY. Where programs start (/etc, /usr, /opt, /root, OVERLAY outside of /var, and the directories of cron, at and systemd in /var), another mount makes the check fail; elsewhere, it causes a warning. There, the check accepts file systems of the kernel such as rpc_pipefs, what an automounter mounted, bind mounts of files that are sealed or in a layer, and the places of container engines, snaps and the chroot of named.",
  why: 'A program that opens a path sees the files of the topmost mount, which may differ from the sealed files. A process that was started before this mount was made may still use the hidden mount, which the other checks do not examine. Files in a mount inside a layer are in no layer, so `changes` does not list them. If an attacker mounts a different file over /etc/immutafs/immutafs.conf, the agent verifies fewer requirements than the administrator configured; a file that is mounted over one of its programs, such as read-mappings, can report anything.',
  fix: 'Find out which process made the upper mount, and remove it with `umount`. If the guest needs the mount, add it to /etc/fstab, or make a mount unit, while the disk is writable. A reboot of a sealed guest removes every mount that was made manually.',
  expected: 'one mount at a mount point',
  evaluate: (facts) => {
    const stacks = [...targetsOf(facts).flatMap((target) => stackAt(facts, target)), ...coveredInputs(facts)];
    const known = new Set(stacks.map(({ target }) => target));
    const unexplained = unwrap(facts.unexplainedMounts).filter(({ mount }) => !known.has(mount.target));
    const found = [...stacks, ...unexplained.map(describeUnexplained)];
    const [first] = found;
    if (first === undefined) return { status: 'pass', observed: 'no hidden mount' };
    const isFailed = stacks.length > 0 || unexplained.some(({ startsPrograms }) => startsPrograms);
    return {
      status: isFailed ? 'fail' : 'warn',
      subject: shortList(found.map(({ target }) => target)),
      observed: shortList(
        found.map(({ text }) => text),
        '; ',
      ),
      remedy:
        stacks.length > 0
          ? `Find out which process mounted over ${first.target}, and reboot.`
          : `Find out which process mounted ${first.target}, and reboot. If the guest needs this mount, add it to /etc/fstab while the disk is writable.`,
    };
  },
};

function describeUnexplained({ mount }: UnexplainedMount): { target: string; text: string } {
  const { target } = mount;
  return { target, text: `${target} is ${name(mount)}, which neither fstab nor the boot mounted` };
}

const always = ['/', '/var', '/run', '/run/var', '/proc', '/sys', '/dev', '/etc', '/usr', '/run/immutafs'];

function targetsOf({ config, layers, overlays, fstab }: AssessedFacts): string[] {
  const required = requiredOptions(config).map(({ target }) => target);
  const all = [
    ...always,
    ...words(config.REQUIRE_READONLY),
    ...required,
    ...(valueOf(fstab)?.lines ?? [])
      .filter(({ target, options }) => target.startsWith('/') && !options.includes('noauto'))
      .map(({ target }) => target),
    ...layers.flatMap(({ target, lower, upper }) => [target, lower, upper]),
    ...unwrap(overlays).flatMap(({ target, lower, upper }) => (lower ? [target, lower.view, upper] : [])),
  ];
  return [...new Set(all)];
}

function stackAt(facts: AssessedFacts, target: string): { target: string; text: string }[] {
  const seen = facts.mounts.serving(target);
  const others = facts.mounts
    .at(target)
    .filter((mount) => mount !== seen && !['autofs', 'rootfs'].includes(mount.type))
    .filter((mount) => !isBoundOnItself(mount, facts.mounts.serving('/')));
  if (others.length === 0 || seen === undefined) return [];
  return [{ target, text: `${target} is ${name(seen)}; hidden: ${shortList(others.map(name), ', ')}` }];
}

/** Returns the mounts over inputs of the agent that the table of mounts does not permit there. */
function coveredInputs({
  mounts: { all, hidden },
  permittedMounts,
}: AssessedFacts): { target: string; text: string }[] {
  const permitted = unwrap(permittedMounts);
  return all
    .filter(({ target }) => ['/etc', '/usr'].includes(target) || coversInput(target))
    .filter((mount) => !hidden.has(mount) && permitted.reasonFor(mount, 'input') === undefined)
    .map((mount) => ({
      target: mount.target,
      text: `${mount.target} is ${name(mount)}, not what was sealed`,
    }));
}

function name({ type, source }: Mount): string {
  return `${type} (${source})`;
}

export const persistentMounts: Check = {
  id: 'persistent-mounts',
  seal: true,
  messageId: '86ab03969b8c48d297224d311dd2c956',
  title: 'every persistent mount is sealed or declared as data',
  means:
    'Every mount, including hidden mounts, belongs to one of these kinds: it is in memory or on SCRATCH_DEVICE, and its lower layers, if it is an overlay, cannot be written; it is on disks that the host made read-only, or on the disks that host-enforced examines; it is at a path of PERSIST; it is at or below /home; /etc/fstab or a mount unit of the system disk mounts it with noexec, nosuid and nodev (also user), or these options together with MOUNT_OPTIONS, and it has these options; an automounter mounts it with these options; /etc/fstab binds a directory of such data there, with these options; DATA names it, with each option that it lacks; it is the overlay of a container whose layers are in such a place; a user other than root mounted it with FUSE. Network file systems count like disks. Paths from which programs start by themselves, such as /var/spool/cron and /var/lib/docker, need the option autostart of DATA. A directory with the programs of the system (/usr, /opt, /root, /boot, /etc, /bin, /sbin, /lib and everything below) is never data: host-enforced requires that the host makes its disk read-only, and this check reports a network file system there. Loop devices, and what was mounted manually, must be named like every other file system.',
  why: 'Root in a sealed boot can write programs to such a file system, and later boots mount it again. A guest that starts programs from a writable disk is not the guest that was sealed.',
  fix: 'If the file system holds only data, add noexec,nosuid,nodev to its options in /etc/fstab while the disk is writable. If programs must run from it, name it in DATA, for example DATA=/srv/app:exec. If it belongs to the system, have the host make its disk read-only. Unmount what was mounted manually. immutafs-agent prepare lists such file systems before the guest is sealed.',
  page: 'writable-paths.md',
  subject: 'mounts',
  expected: 'on a disk that the host made read-only, or declared as data',
  evaluate: (facts) => {
    unwrap(facts.disks);
    unwrap(facts.scratchDevice);
    const found = unwrap(facts.undeclaredMounts);
    const [first] = found;
    const data = unwrap(facts.dataMounts);
    if (first === undefined) {
      const targets = [...new Set(data.map(({ target }) => target))];
      return { status: 'pass', observed: data.length === 0 ? 'no data' : `data: ${shortList(targets)}` };
    }
    const described = found.map(({ mount, reason }) => `${mount.target} is ${name(mount)}: ${reason}`);
    return {
      status: 'fail',
      subject: shortList([...new Set(found.map(({ mount }) => mount.target))]),
      observed: shortList(described, '; '),
      remedy: first.remedy,
    };
  },
};

export const mountsGenuine: Check = {
  id: 'mounts-genuine',
  messageId: 'd2815d124809416ca8806807ea8f7793',
  title: 'the system is mounted from its sealed disks',
  means:
    "If a disk that the host made read-only carries the identity that root= or mount.usr= on the kernel command line or a line of /etc/fstab names, then the mounted device is on that disk. No device below such a mount is a copy with the UUID of a device on a sealed disk, and no volume group below such a mount has the same name as a different volume group on a sealed disk. The check compares device numbers and identities in udev's database. It does not use the links below /dev/disk, which point to the device that udev processed last.",
  why: 'If the mounted file system is a copy, the guest runs the software of the copy, and changes that root makes there survive a reboot. Such a boot never counts as maintenance, because root in the guest can create a copy of the system disk on any writable disk.',
  fix: 'Do not trust this guest. Have the host power it off, detach the writable disk that holds the copy and keep that disk as evidence. Start the guest with the sealed disk as its only boot disk (docs/host.md). Then run immutafs-agent prepare to verify that every initramfs contains the hook of this version.',
  page: 'threat-model.md',
  expected: 'mounted from the sealed disk',
  evaluate: (facts) => {
    const foreign = unwrap(facts.foreignMounts);
    const [first] = foreign;
    if (first === undefined) return { status: 'pass', observed: 'no impostor is mounted' };
    const described = foreign.map(
      ({ target, device, sealedDevice, identity }) =>
        `${target === '/' ? 'the system runs' : `${target} is mounted`} from the impostor ${device}: ${identity} is on the sealed ${sealedDevice}`,
    );
    return {
      status: 'fail',
      subject: foreign.map(({ target }) => target).join(' '),
      observed: described.join('; '),
      remedy: `Power the guest off in the host, detach the disk of ${first.device}, keep it as evidence, and start the guest from its sealed disk.`,
    };
  },
};
