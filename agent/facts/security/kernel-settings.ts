import { hasCode, unless, unlessAbsent } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/** Settings that keep root from changing the running kernel; undefined if the kernel does not support the setting. */
export type Lockdown = ReturnType<typeof findLockdown>;

export function findLockdown(reader: SystemReader) {
  return {
    /** none, integrity or confidentiality (kernel_lockdown(7)). */
    lockdown: /\[(\w+)\]/.exec(readIfAllowed(reader, '/sys/kernel/security/lockdown') ?? '')?.[1],
    /** Whether no further modules can be loaded. */
    modulesDisabled: isOn(readIfAllowed(reader, '/proc/sys/kernel/modules_disabled')),
    /** Whether only signed modules can be loaded. */
    signaturesEnforced: isOn(readIfAllowed(reader, '/sys/module/module/parameters/sig_enforce')),
    /** Whether kexec cannot load another kernel. */
    kexecDisabled: isOn(readIfAllowed(reader, '/proc/sys/kernel/kexec_load_disabled')),
  };
}

function isOn(text: string | undefined): boolean | undefined {
  return text === undefined ? undefined : /^(1|Y)/.test(text);
}

/** Returns undefined if the file does not exist (securityfs may not be mounted) or only root may read it. */
function readIfAllowed(reader: SystemReader, file: string): string | undefined {
  return unless(hasCode('EACCES', 'EPERM'), () => reader.readIfPresent(file, 4096));
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

/**
 * Settings that keep a process from executing code that is in no file on an executable mount; undefined if the kernel does
 * not have the setting.
 */
export type ExecBypass = ReturnType<typeof findExecBypass>;

/** @throws SystemError if a setting exists and cannot be read */
export function findExecBypass(reader: SystemReader) {
  const sysctl = (name: string) => readNumber(reader, `/proc/sys/${name.replaceAll('.', '/')}`);
  return {
    /** Of this PID namespace; since Linux 6.3. */
    memfdNoexec: sysctl('vm.memfd_noexec'),
    /** Whether the kernel supports user namespaces: the link then exists (namespaces(7)). */
    userNamespaces: unlessAbsent(() => reader.link('/proc/self/ns/user')) !== undefined,
    /** Since Linux 4.9; RHEL 7 has it. */
    maxUserNamespaces: sysctl('user.max_user_namespaces'),
    /** Only Debian's kernels have it. */
    unprivilegedUserns: sysctl('kernel.unprivileged_userns_clone'),
    apparmorRestrictsUserns: sysctl('kernel.apparmor_restrict_unprivileged_userns'),
    /** Undefined in a kernel without Yama. */
    ptraceScope: sysctl('kernel.yama.ptrace_scope'),
  };
}

function readNumber(reader: SystemReader, file: string): number | undefined {
  const text = reader.readIfPresent(file, 4096)?.trim();
  if (text === undefined) return undefined;
  if (!/^-?\d+$/.test(text)) throw new Error(`${file}: not a number: ${text.slice(0, 20)}`);
  return Number(text);
}

export const seedFile = '/var/lib/systemd/random-seed';

/** Flags of /proc/cpuinfo: x86 (flags), and ARM's RNDR and RNDRRS (Features). */
const instructions: Record<string, string> = { rdseed: 'RDSEED', rdrand: 'RDRAND', rng: 'RNDRRS' };

/** Finds what gives the kernel random data that differs from boot to boot. */
export function findRandomSources(reader: SystemReader, kernelArgument: readonly string[]) {
  const directory = '/sys/class/misc/hw_random';
  const read = () => reader.readIfPresent(`${directory}/rng_current`, 4096)?.trim() ?? '';
  const current = reader.stat(directory) === undefined ? '' : read();
  return {
    /** The hardware generator that the kernel reads, such as virtio_rng.0; empty if there is none. */
    current: current === 'none' ? '' : current,
    /** The instruction of the processor that returns random data; empty if it has none. */
    instruction: findInstruction(reader),
    /** Whether the kernel command line keeps the kernel from trusting the instruction. */
    distrusted: /^random\.trust_cpu=(0|n|N|off|no)$/.test(
      kernelArgument.findLast((argument) => argument.startsWith('random.trust_cpu=')) ?? '',
    ),
    /** Whether the file exists from which systemd-random-seed.service loads random data at boot. */
    seed: reader.stat(seedFile) !== undefined,
  };
}

/** Reads only the beginning of /proc/cpuinfo, which describes the first processor: each further one takes time. */
function findInstruction(reader: SystemReader): string {
  if (reader.stat('/proc/cpuinfo') === undefined) return '';
  const [, flags = ''] = /^(?:flags|Features)\s*:(.*)$/m.exec(reader.readAt('/proc/cpuinfo', 0, 8192)) ?? [];
  const found = new Set(flags.trim().split(/\s+/));
  const [, name = ''] = Object.entries(instructions).find(([flag]) => found.has(flag)) ?? [];
  return name;
}
