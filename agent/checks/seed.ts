import type { AssessedFacts } from '../assess/assess.ts';
import type { SeedRecord } from '../facts/boot/boot-env.ts';
import { searchKilled } from '../facts/boot/seed-files.ts';
import { unwrap, valueOf } from '../facts/observed.ts';
import { shortList } from '../lib/format.ts';
import type { Check, Outcome } from './check.ts';
import { isWritable } from '../facts/mounts/mountinfo.ts';

export const seedGenuine: Check = {
  id: 'seed-genuine',
  seal: true,
  messageId: 'bd4fb975c1e043ca95999b6becda3818',
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
const wait = 'Wait until the boot has finished.';
/** What the boot needs besides SEED_TIMEOUT until it has looked for the seed, in seconds, on a slow host. */
const slowBoot = 120;

function fail(observed: string, remedy: string): Outcome {
  return { status: 'fail', observed, remedy };
}

function judge(facts: AssessedFacts, record: SeedRecord | undefined): Outcome {
  const limit = (valueOf(facts.bootEnv)?.uptime ?? 0) + Number(facts.config.SEED_TIMEOUT) + slowBoot;
  const isBooting = facts.identity.uptime < limit;
  switch (record?.state) {
    case undefined:
      return isBooting
        ? fail('the boot has not looked for a seed yet', wait)
        : fail(
            'the boot did not look for a seed: immutafs-generator or immutafs-seed.service did not run',
            reboot,
          );
    case 'begun':
      return isBooting
        ? fail(`the boot looks for a seed, for at most ${facts.config.SEED_TIMEOUT} s`, wait)
        : fail('the boot began to look for a seed and did not finish', reboot);
    case 'none':
      return fail('no device with the label cidata that the host made read-only', attach);
    case 'refused':
      return record.reason === searchKilled
        ? fail(record.reason, reboot)
        : fail(`the seed is not used: ${record.reason}`, attach);
    case 'incomplete':
      return fail(
        ['only a part of the seed was applied', record.reason, ...whileWritable(facts)].join(': '),
        reboot,
      );
    case 'accepted':
      return judgeAccepted(facts, record);
  }
}

function judgeAccepted(facts: AssessedFacts, record: SeedRecord & { state: 'accepted' }): Outcome {
  const { device, sha256 } = record;
  const { problem: wrongDevice, evidence } = deviceState(facts, device);
  if (wrongDevice !== undefined) return fail(wrongDevice, attach);
  const others = otherSeeds(facts, device);
  if (others.length > 0)
    return fail(
      `${shortList(others)} also has a seed, which appeared after that on ${device} was used`,
      attach,
    );
  const problem = problemOfResult(facts, sha256);
  if (problem !== undefined) return fail(...problem);
  const { result, hostKeys } = unwrap(facts.seed);
  const errors = result?.errors ?? [];
  const unknown = hostKeys?.foreign ?? [];
  const reported = {
    text: `cloud-init reports: ${shortList(errors, '; ')}`,
    remedy: 'Read /var/log/cloud-init.log, and correct the seed on the host.',
  };
  const changing = {
    text: `not in the seed, and so new at every boot: ${shortList(unknown)}`,
    remedy: 'Put the SSH host keys of the guest into its seed.',
  };
  const warnings = [...(errors.length > 0 ? [reported] : []), ...(unknown.length > 0 ? [changing] : [])];
  const source = `${device} (${evidence}), SHA-256 ${sha256}`;
  const observed = [source, ...warnings.map(({ text }) => text)].join('; ');
  if (warnings.length === 0) return { status: 'pass', observed };
  return { status: 'warn', observed, remedy: warnings.map(({ remedy }) => remedy).join(' ') };
}

/** Returns the other devices with a seed that the boot would accept. */
function otherSeeds({ blockDevices }: AssessedFacts, name: string): string[] {
  return unwrap(blockDevices)
    .filter((each) => each.name !== name && each.hostReadOnly === true)
    .filter(({ tags }) => tags.some((tag) => /^LABEL=cidata$/i.test(tag)))
    .map((each) => each.name);
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
  const { sha256, result, isInstalled, isApplying, hostKeys, differing = [] } = unwrap(facts.seed);
  if (facts.identity.root && sha256 !== recorded)
    return ['the copy of the seed was changed since the boot', 'Reboot the guest.'];
  if (!isInstalled && differing.length > 0)
    return [`not as in the seed: ${shortList(differing)}`, 'Reboot the guest.'];
  if (isInstalled && result === undefined) {
    return [
      'cloud-init has not finished, or it is disabled',
      isApplying === true
        ? 'Wait until cloud-init has finished. If it does not: read `cloud-init status --long`.'
        : 'Read `cloud-init status --long`. While the disk is writable, remove /etc/cloud/cloud-init.disabled and cloud-init=disabled.',
    ];
  }
  if (isInstalled && !isCopy.test(result?.datasource ?? '')) {
    return [
      `cloud-init used another data source: ${result?.datasource}`,
      'Remove ds= from the kernel command line, ds= from the serial number of the guest, and seedfrom from the seed.',
    ];
  }
  if (hostKeys?.inSeed === true && hostKeys.foreign.length > 0)
    return [
      `SSH host keys that are not those of the seed: ${shortList(hostKeys.foreign)}`,
      'Reboot the guest. If they exist again: a service other than sshd-keygen generates them.',
    ];
  const [writable] = whileWritable(facts);
  if (writable === undefined) return undefined;
  return [
    writable,
    isApplying === true ? wait : 'Read `systemctl status immutafs-seed-finish`, and reboot the guest.',
  ];
}

function whileWritable({ mounts }: AssessedFacts): string[] {
  const etc = mounts.serving('/etc');
  return etc?.target === '/etc' && isWritable(etc) ? ['/etc is still writable'] : [];
}

/** Later versions of cloud-init append further data sources to the list, such as the kernel command line. */
const isCopy = /^DataSourceNoCloud(Net)? \[seed=\/var\/lib\/cloud\/seed\/nocloud\](\[|$)/;
