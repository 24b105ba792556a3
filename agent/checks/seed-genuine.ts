import type { AssessedFacts } from '../assess/assess.ts';
import type { SeedRecord } from '../facts/boot/boot-env.ts';
import { unwrap } from '../facts/observed.ts';
import { shortList } from '../lib/format.ts';
import type { Check, Outcome } from './check.ts';
import { isWritable } from '../facts/mounts/mountinfo.ts';

export const seedGenuine: Check = {
  id: 'seed-genuine',
  seal: true,
  messageId: 'bd4fb975c1e043ca95999b6becda3818',
  title: "the identity of this guest is that of the host's seed",
  means:
    'With SEED=host, the boot found exactly one seed of cloud-init (label cidata) on a device that the host made read-only: a CD-ROM drive of the hypervisor, or a disk by the evidence that host-enforced uses. It recorded the device, the evidence and the SHA-256 of its copy of the seed in /run/immutafs/boot.env. The check verifies that the device, if it is still there, is read-only by the same evidence now, that the copy has the recorded checksum (only root can read it), that cloud-init names only this copy as its data source in /run/cloud-init/result.json, and that the overlay on /etc is read-only since cloud-init has finished. Without cloud-init, the files in /etc must be those that the boot wrote from the seed. It reports seeds on other devices, which the boot did not read. It warns about errors that cloud-init reports.',
  why: 'cloud-init runs as root whatever its seed contains. Without a genuine seed, the guest has no host name, host keys and users of its own, or those of an attacker. While /etc is writable, root can change what programs start and who may log in.',
  fix: 'On the host, attach the seed of this guest as a CD-ROM or as a read-only disk, and only this one, and start the guest again. If cloud-init is disabled (/etc/cloud/cloud-init.disabled, cloud-init=disabled), enable it while the disk is writable, or set SEED=none. Without cloud-init, the seed needs the directory immutafs. If /etc stayed writable, find what has a file in it open for writing in `systemctl status immutafs-seed-finish`. Compare the checksum with that of the seed on the host: `sha256sum meta-data network-config user-data vendor-data | sha256sum`, of the files that exist; without cloud-init, see docs/images.md.',
  page: 'images.md',
  subject: 'seed',
  expected: 'one seed on a device that the host made read-only, applied',
  evaluate: (facts) => {
    if (facts.config.SEED !== 'host') return { status: 'skip', observed: `SEED is ${facts.config.SEED}` };
    const boot = unwrap(facts.bootEnv);
    const outcome = judge(facts, boot?.seed);
    const ignored = (boot?.ignoredSeeds ?? []).map(
      ({ device }) => `the boot did not read the seed on ${device}, which the host did not make read-only`,
    );
    return { ...outcome, observed: [outcome.observed, ...ignored].join('; ') };
  },
};

const attach =
  'On the host, attach the seed of this guest, and no other, as a CD-ROM or as a read-only disk, and start the guest again.';
const reboot = 'Reboot the guest. The journal has the reason: journalctl -b -u immutafs-seed.';

function fail(observed: string, remedy: string): Outcome {
  return { status: 'fail', observed, remedy };
}

function judge(facts: AssessedFacts, record: SeedRecord | undefined): Outcome {
  switch (record?.state) {
    case undefined:
      return fail(
        'the boot did not look for a seed: immutafs-generator or immutafs-seed.service did not run',
        reboot,
      );
    case 'begun':
      return fail('the boot began to look for a seed and did not finish', reboot);
    case 'none':
      return fail('no device with the label cidata that the host made read-only', attach);
    case 'refused':
      return fail(`the seed is not used: ${record.reason}`, attach);
    case 'accepted':
      return judgeAccepted(facts, record);
  }
}

function judgeAccepted(facts: AssessedFacts, record: SeedRecord & { state: 'accepted' }): Outcome {
  const { device, sha256 } = record;
  const source = deviceState(facts, device);
  if (source.problem !== undefined) return fail(source.problem, attach);
  const problem = problemOfResult(facts, sha256);
  if (problem !== undefined) return fail(...problem);
  const { result } = unwrap(facts.seed);
  const observed = `${device} (${source.evidence}), SHA-256 ${sha256}`;
  const errors = result?.errors ?? [];
  if (errors.length === 0) return { status: 'pass', observed };
  return {
    status: 'warn',
    observed: `${observed}; cloud-init reports: ${shortList(errors, '; ')}`,
    remedy: 'Read /var/log/cloud-init.log, and correct the seed on the host.',
  };
}

/** Judges the device by the evidence of now, because root can change the record of the boot. */
function deviceState(facts: AssessedFacts, name: string): { problem?: string; evidence: string } {
  const device = unwrap(facts.blockDevices).find((each) => each.name === name);
  if (device === undefined) return { evidence: 'removed since the boot' };
  const evidence = shortList(device.disks.map((disk) => disk.evidence));
  // For a SCSI disk, it is unknown if the kernel log no longer has the record.
  if (device.hostReadOnly !== false) return { evidence };
  return { problem: `the host did not make ${name} read-only: ${evidence}`, evidence };
}

/** Returns what is wrong with what was done with the copy, and the remedy. */
function problemOfResult(
  facts: AssessedFacts,
  recorded: string,
): [observed: string, remedy: string] | undefined {
  const { sha256, result, isInstalled, differing = [] } = unwrap(facts.seed);
  if (facts.identity.root && sha256 !== recorded)
    return ['the copy of the seed was changed since the boot', 'Reboot the guest.'];
  if (!isInstalled && differing.length > 0)
    return [`not as in the seed: ${shortList(differing)}`, 'Reboot the guest.'];
  if (isInstalled && result === undefined) {
    return [
      'cloud-init has not finished, or it is disabled',
      'Read `cloud-init status --long`. While the disk is writable, remove /etc/cloud/cloud-init.disabled and cloud-init=disabled.',
    ];
  }
  if (isInstalled && !isCopy.test(result?.datasource ?? '')) {
    return [
      `cloud-init used another data source: ${result?.datasource}`,
      'Remove ds= from the kernel command line, ds= from the serial number of the guest, and seedfrom from the seed.',
    ];
  }
  const etc = facts.mounts.serving('/etc');
  if (etc?.target !== '/etc' || !isWritable(etc)) return undefined;
  return ['/etc is still writable', 'Read `systemctl status immutafs-seed-finish`, and reboot the guest.'];
}

/** Later versions of cloud-init append further data sources to the list, such as the kernel command line. */
const isCopy = /^DataSourceNoCloud(Net)? \[seed=\/var\/lib\/cloud\/seed\/nocloud\](\[|$)/;
