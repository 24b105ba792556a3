import type { SystemReader } from '../../system/reader.ts';

/** What gives the kernel random data that differs from boot to boot. */
interface RandomSources {
  /** The hardware generator that the kernel reads, such as virtio_rng.0; empty if there is none. */
  current: string;
  /** The instruction of the processor that returns random data; empty if it has none. */
  instruction: string;
  /** Whether the kernel command line keeps the kernel from trusting the instruction. */
  distrusted: boolean;
  /** Whether the file exists from which systemd-random-seed.service loads random data at boot. */
  seed: boolean;
}

export const seedFile = '/var/lib/systemd/random-seed';

/** Flags of /proc/cpuinfo: x86 (flags), and ARM's RNDR and RNDRRS (Features). */
const instructions: Record<string, string> = { rdseed: 'RDSEED', rdrand: 'RDRAND', rng: 'RNDRRS' };

export function findRandomSources(reader: SystemReader, kernelArgument: readonly string[]): RandomSources {
  const directory = '/sys/class/misc/hw_random';
  const current = reader.stat(directory) === undefined ? '' : readLine(reader, `${directory}/rng_current`);
  return {
    current: current === 'none' ? '' : current,
    instruction: findInstruction(reader),
    distrusted: /^random\.trust_cpu=(0|n|N|off|no)$/.test(
      kernelArgument.findLast((argument) => argument.startsWith('random.trust_cpu=')) ?? '',
    ),
    seed: reader.stat(seedFile) !== undefined,
  };
}

function readLine(reader: SystemReader, file: string): string {
  return reader.readIfPresent(file, 4096)?.trim() ?? '';
}

/** Reads only the beginning of /proc/cpuinfo, which describes the first processor: each further one takes time. */
function findInstruction(reader: SystemReader): string {
  if (reader.stat('/proc/cpuinfo') === undefined) return '';
  const [, flags = ''] = /^(?:flags|Features)\s*:(.*)$/m.exec(reader.readAt('/proc/cpuinfo', 0, 8192)) ?? [];
  const found = new Set(flags.trim().split(/\s+/));
  const [, name = ''] = Object.entries(instructions).find(([flag]) => found.has(flag)) ?? [];
  return name;
}
