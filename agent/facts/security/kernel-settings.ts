import { errorCode, unlessAbsent } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/** Settings that keep root from changing the running kernel; undefined if the kernel does not support the setting. */
export interface Lockdown {
  /** none, integrity or confidentiality (kernel_lockdown(7)). */
  lockdown: string | undefined;
  /** Whether no further modules can be loaded. */
  modulesDisabled: boolean | undefined;
  /** Whether only signed modules can be loaded. */
  signaturesEnforced: boolean | undefined;
  /** Whether kexec cannot load another kernel. */
  kexecDisabled: boolean | undefined;
}

export function findLockdown(reader: SystemReader): Lockdown {
  return {
    lockdown: /\[(\w+)\]/.exec(readIfAllowed(reader, '/sys/kernel/security/lockdown') ?? '')?.[1],
    modulesDisabled: isOn(readIfAllowed(reader, '/proc/sys/kernel/modules_disabled')),
    signaturesEnforced: isOn(readIfAllowed(reader, '/sys/module/module/parameters/sig_enforce')),
    kexecDisabled: isOn(readIfAllowed(reader, '/proc/sys/kernel/kexec_load_disabled')),
  };
}

function isOn(text: string | undefined): boolean | undefined {
  return text === undefined ? undefined : /^(1|Y)/.test(text);
}

/** Returns undefined if the file does not exist (securityfs may not be mounted) or only root may read it. */
function readIfAllowed(reader: SystemReader, file: string): string | undefined {
  try {
    return reader.readIfPresent(file, 4096);
  } catch (error) {
    if (['EACCES', 'EPERM'].includes(errorCode(error))) return undefined;
    throw error;
  }
}

const file = '/proc/sys/crypto/fips_enabled';

/**
 * Returns whether the kernel runs in FIPS mode (kernel argument fips=1). A kernel without FIPS support does not have the
 * file.
 * @throws Error if the file contains neither 0 nor 1
 */
export function readFipsMode(reader: SystemReader): boolean {
  const text = reader.readIfPresent(file, 64)?.trim() ?? '0';
  if (text !== '0' && text !== '1') throw new Error(`${file} contains '${text}', neither 0 nor 1`);
  return text === '1';
}

/** Settings that keep a process from executing code that is in no file on an executable mount. */
export interface ExecBypass {
  /** vm.memfd_noexec of this PID namespace; undefined if the kernel does not have it (before 6.3). */
  memfdNoexec: number | undefined;
  /** Whether the kernel supports user namespaces. */
  userNamespaces: boolean;
  /** user.max_user_namespaces; undefined if the kernel does not have it (before 4.9; RHEL 7 has it). */
  maxUserNamespaces: number | undefined;
  /** kernel.unprivileged_userns_clone; undefined if the kernel does not have it (only Debian's kernels do). */
  unprivilegedUserns: number | undefined;
  /** kernel.apparmor_restrict_unprivileged_userns; undefined if the kernel does not have it. */
  apparmorRestrictsUserns: number | undefined;
  /** kernel.yama.ptrace_scope; undefined if the kernel does not have Yama. */
  ptraceScope: number | undefined;
}

/** @throws SystemError if a setting exists and cannot be read */
export function findExecBypass(reader: SystemReader): ExecBypass {
  const sysctl = (name: string) => readNumber(reader, `/proc/sys/${name.replaceAll('.', '/')}`);
  return {
    memfdNoexec: sysctl('vm.memfd_noexec'),
    // The link exists if the kernel supports them (namespaces(7)).
    userNamespaces: unlessAbsent(() => reader.link('/proc/self/ns/user')) !== undefined,
    maxUserNamespaces: sysctl('user.max_user_namespaces'),
    unprivilegedUserns: sysctl('kernel.unprivileged_userns_clone'),
    apparmorRestrictsUserns: sysctl('kernel.apparmor_restrict_unprivileged_userns'),
    ptraceScope: sysctl('kernel.yama.ptrace_scope'),
  };
}

function readNumber(reader: SystemReader, file: string): number | undefined {
  const text = reader.readIfPresent(file, 4096)?.trim();
  if (text === undefined) return undefined;
  if (!/^-?\d+$/.test(text)) throw new Error(`${file}: not a number: ${text.slice(0, 20)}`);
  return Number(text);
}

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
