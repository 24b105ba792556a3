import { isWritable, persistenceTest } from '../assess/footholds.ts';
import { unwrap } from '../facts/observed.ts';
import { seedFile } from '../facts/security/random-sources.ts';
import type { Check } from './check.ts';

/** Verifies that the random numbers of a boot do not depend on the seed on the sealed disk alone. */
export const randomSeed: Check = {
  id: 'random-seed',
  severity: 'advisory',
  seal: true,
  messageId: '939478e7147f4d37a95789cfb914e062',
  documentation: {
    title: 'the host or the processor gives the kernel random data at boot',
    means:
      'The kernel has a hardware generator (/sys/class/misc/hw_random), which on a KVM guest is virtio-rng, or the processor has an instruction that returns random data (RDSEED or RDRAND, on ARM RNDRRS), and the kernel argument random.trust_cpu=off is not set. Without either, the check passes if the random seed of systemd is kept across reboots, because it is on a file system that persists.',
    why: 'A sealed guest loads the same /var/lib/systemd/random-seed at every boot: systemd replaces this file at shutdown, but only in the overlay. Without another source, random numbers early in the boot, such as keys and TCP sequence numbers, can repeat from boot to boot and in every guest with a copy of the disk.',
    fix: 'Add virtio-rng to the domain: <rng model="virtio"><backend model="random">/dev/urandom</backend></rng> (docs/host.md). Or give the guest a processor model with RDRAND, such as host-model.',
    page: 'host.md',
  },
  evaluate: (facts) => {
    const { current, instruction, distrusted, seed } = unwrap(facts.randomSources);
    const expected = 'virtio-rng or a random instruction of the processor';
    const sources = [current, distrusted ? '' : instruction].filter((each) => each !== '');
    const good = { status: 'pass', expected } as const;
    if (sources.length > 0) return { ...good, observed: sources.join(' and ') };
    const mount = facts.mounts.serving(seedFile);
    if (
      seed &&
      mount !== undefined &&
      isWritable(mount) &&
      persistenceTest(facts.mounts, facts.scratchDevice)(mount)
    ) {
      return { ...good, observed: `none, but ${seedFile} is kept across reboots` };
    }
    const ignored = distrusted && instruction !== '' ? ` (${instruction}: random.trust_cpu=off)` : '';
    return {
      status: 'warn',
      subject: seedFile,
      expected,
      observed: `no random source${ignored}; ${seed ? 'the seed is the same at every boot' : 'there is no seed'}`,
      remedy: 'Add virtio-rng to the domain (docs/host.md).',
    };
  },
};
