import type { Check, Outcome } from './check.ts';
import { mayHaveOtherDevices } from '../facts/disks/block.ts';
import { type Disk, isUnsupported } from '../facts/disks/disks.ts';
import { unwrap, valueOf } from '../facts/observed.ts';
import { remountRemedy } from '../assess/system-disks.ts';
import type { Impostor } from '../facts/boot/boot-env.ts';
import { words } from '../config/config.ts';
import { shortList } from '../lib/format.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import { isWritable, servingMount } from '../facts/mounts/mountinfo.ts';

export const hostEnforced: Check = {
  id: 'host-enforced',
  seal: true,
  messageId: 'b47e8fd7ed454b45aae745b9a2bb9b5d',
  expected: 'read-only, enforced by the host',
  evaluate: (facts) => {
    const { disks } = unwrap(facts.systemDisks);
    if (disks.length === 0) {
      const observed = 'no disk was found under the targets of REQUIRE_READONLY';
      return { status: 'fail', observed, remedy: 'Install the system on its own disk.' };
    }
    const open = disks.filter((disk) => disk.hostReadOnly !== true);
    const [first] = open;
    const named = first === undefined ? disks : open;
    const found = { subject: namesOf(named), observed: describeEvidence(named) };
    if (first === undefined) return { status: 'pass', ...found };
    return { status: facts.mode.forced ? 'warn' : 'fail', ...found, remedy: remedyFor(first, facts) };
  },
};

function namesOf(disks: readonly Disk[]): string {
  return disks.map(({ name }) => name).join(' ');
}

/** Returns the remedy for a disk; for a device of the guest itself, such as a device-mapper device, the host has none. */
function remedyFor(disk: Disk, { mounts }: AssessedFacts): string {
  const { name, bus, holds } = disk;
  const all = holds.flatMap((target) => mounts.serving(target) ?? []);
  const unproven = all.find(mayHaveOtherDevices);
  if (unproven !== undefined) {
    return `${unproven.target} is ${unproven.type}, which is not supported on a system disk: move its files to XFS or ext4.`;
  }
  if (bus === 'virtual') {
    return `Find out which process created ${name}. If it was not the boot, reboot the guest. Otherwise, install the system on a disk of the host without this layer.`;
  }
  if (isUnsupported(disk))
    return `A system disk of this kind (${bus}) is not supported. Shut the guest down, attach ${name} by virtio or virtio-scsi, and make it read-only in the host. See docs/host.md.`;
  return `Shut the guest down and make disk ${name} read-only in the host: virt-xml DOMAIN --edit target=${name} --disk readonly=on.`;
}

/** Returns the evidence for the disks. The name is omitted for a single disk, because the subject contains it. */
function describeEvidence(disks: readonly Disk[]): string {
  if (disks.length === 1) return disks.map(evidenceOf).join('');
  return disks.map((disk) => `${disk.name}: ${evidenceOf(disk)}`).join('; ');
}

/** Returns the evidence for a disk, with its mount points if it is not the disk of /. */
function evidenceOf({ evidence, holds }: Disk): string {
  return holds.includes('/') || holds.length === 0 ? evidence : `${evidence}; mounted at ${shortList(holds)}`;
}

/**
 * Verifies that the kernel refuses a write with EROFS. For O_TMPFILE, the kernel returns EROFS before it checks
 * permissions (fs/namei.c, path_openat()). The probe's file never has a name, so no file remains if the write succeeds.
 */
export const rootWriteProbe: Check = {
  id: 'root-write-probe',
  seal: true,
  messageId: '8df9696e66ae4067bca04f318f74f52f',
  expected: 'EROFS',
  evaluate: (facts) => {
    const probes = Object.entries(facts.writeProbes);
    if (probes.length === 0) throw new Error('no write was tried');
    const wrong = probes.filter(([, answer]) => answer !== 'EROFS');
    const subject = (wrong.length === 0 ? probes : wrong).map(([target]) => target).join(' ');
    const [unclear] = wrong;
    if (unclear === undefined) return { status: 'pass', subject, observed: 'EROFS' };
    const accepted = wrong.find(([, answer]) => answer === 'OK')?.[0];
    if (accepted === undefined)
      throw new Error(`${unclear[0]}: the write failed with ${unclear[1]}, not with EROFS`);
    const remedy = unwrap(facts.hostReadOnlyTargets).has(accepted)
      ? remountRemedy(accepted)
      : `The host leaves the disk under ${accepted} writable: make it read-only in the host and reboot (see host-enforced).`;
    return { status: 'fail', subject, observed: 'the write was accepted', remedy };
  },
};

export const impostorAbsent: Check = {
  id: 'impostor-absent',
  severity: 'advisory',
  isRequired: {
    reason: 'the initramfs did not mount the root from the sealed disk',
    test: ({ possibleRoots }) => (valueOf(possibleRoots) ?? []).length > 0,
  },
  messageId: 'f8fc9bcb4e9249b7bcfaa2abdb2b157e',
  expected: 'no identity of a sealed disk on a writable device',
  evaluate: (facts) => {
    const impostors = unwrap(facts.impostors);
    const pairs = Map.groupBy(impostors, ({ device, sealedDevice }) => `${device} ${sealedDevice}`);
    const [first] = impostors;
    if (first === undefined) return { status: 'pass', observed: 'none' };
    const isRoot = unwrap(facts.possibleRoots).length > 0;
    const shown = [...pairs.values()].slice(0, 10).map(describeImpostor);
    const more = pairs.size > shown.length ? [`and ${pairs.size - shown.length} more`] : [];
    return {
      status: isRoot ? 'fail' : 'warn',
      subject: [...new Set(impostors.map(({ device }) => device))].slice(0, 10).join(' '),
      observed: [...shown, ...more].join('; '),
      remedy: isRoot
        ? `The host may have left the disk from which the machine starts writable: verify in the host that ${first.device} is not on the system disk, and detach its disk.`
        : `The copy is an attack or a forgotten clone: detach the disk of ${first.device} in the host, or wipe ${first.device}.`,
    };
  },
};

/** @param same the identities that one device has of another */
function describeImpostor(same: readonly Impostor[]): string {
  const identities = same.map(({ identity }) => identity).join(', ');
  return `${same[0]?.device ?? ''} has ${identities} of ${same[0]?.sealedDevice ?? ''}, which is on a sealed disk`;
}

export const rootReadonly: Check = {
  id: 'root-readonly',
  seal: true,
  messageId: 'dab855213d524692b5e50b22076779a2',
  evaluate: (facts) => readonly(facts, ['/']),
};

export const bootReadonly: Check = {
  id: 'boot-readonly',
  seal: true,
  messageId: 'ee2c7b842fe042f79342564f0ad172ce',
  evaluate: (facts) =>
    readonly(
      facts,
      words(facts.config.REQUIRE_READONLY).filter(
        (target) => target !== '/' && facts.present.includes(target),
      ),
    ),
};

function readonly(facts: AssessedFacts, targets: string[]): Outcome {
  const expected = 'mounted read-only';
  if (targets.length === 0)
    return { status: 'skip', expected, observed: 'no other path of REQUIRE_READONLY exists' };
  const writable = targets.filter((target) => isWritable(servingMount(facts.mounts, target)));
  const [first] = writable;
  if (first === undefined)
    return { status: 'pass', subject: targets.join(' '), expected, observed: 'read-only' };
  return {
    status: 'fail',
    subject: writable.join(' '),
    expected,
    observed: 'mounted read-write',
    remedy: isInOverlay(facts, first)
      ? `Remove ${first} from REQUIRE_READONLY, or from OVERLAY: a path cannot be in both.`
      : unwrap(facts.hostReadOnlyTargets).has(first)
        ? remountRemedy(first)
        : `While the disk is writable, add ro to the options of ${first} in /etc/fstab, and reboot.`,
  };
}

/** Whether OVERLAY makes a target writable. */
function isInOverlay({ overlayStates, mounts }: AssessedFacts, target: string): boolean {
  const serving = mounts.serving(target)?.target;
  return unwrap(overlayStates).some((each) => each.state === 'overlay' && each.target === serving);
}
