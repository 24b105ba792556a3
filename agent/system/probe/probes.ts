import fs from 'node:fs';
import { errorCode, errorMessage } from '../../lib/errors.ts';
import { openUnnamed, probeName, removeLeftovers, tryWrite } from './write.ts';
import { runSync } from '../exec.ts';
import { whileOpen } from '../files.ts';
import { O_PATH } from '../foreign-directory.ts';

/** The probes of a path. Each returns the name of an error code or a keyword of the probe. */
export const probes = {
  present: (path: string) => (fs.lstatSync(path, { throwIfNoEntry: false }) ? 'YES' : 'NO'),
  write: tryWrite,
  exec: tryExecute,
  suid: trySetUid,
  device: tryDevice,
};

export type ProbeKind = keyof typeof probes;

/**
 * Runs probes one after another. Ignores signals, so that no file is left behind.
 * @param say receives each answer immediately, because a later probe may hang
 */
export function runProbes(kinds: readonly ProbeKind[], path: string, say: (line: string) => void): void {
  ignoreSignals();
  if (kinds.includes('exec') || kinds.includes('device')) tidy(path);
  for (const kind of kinds) say(`${kind} ${answer(kind, path)}\n`);
}

/** Tries to write at each path, one after another. @param say as for runProbes */
export function runWrites(paths: readonly string[], say: (line: string) => void): void {
  ignoreSignals();
  for (const path of paths) say(`${answer('write', path)}\n`);
}

function ignoreSignals(): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGPIPE'] as const)
    process.on(signal, () => undefined);
}

function answer(kind: ProbeKind, path: string): string {
  try {
    return probes[kind](path);
  } catch (error) {
    return errorCode(error) || 'failed';
  }
}

function tidy(directory: string): void {
  try {
    removeLeftovers(directory);
  } catch {
    // The probes themselves report the error.
  }
}

/** makedev(1, 3): Documentation/admin-guide/devices.txt */
const nullDevice = 0x103;

/**
 * Creates a device node like /dev/null in a directory and opens it. Requires root. A device node must have a name, so this
 * process removes the node, even if the agent was killed.
 * @returns EACCES on a mount with nodev (mount(2)), OPENED if the node can be opened, else the error code
 */
function tryDevice(directory: string): string {
  if (process.geteuid?.() !== 0) return 'EPERM';
  const node = probeName(directory);
  try {
    const made = runSync('/usr/bin/mknod', ['-m', '0600', node, 'c', '1', '3']);
    if (made.error !== undefined) return errorCode(made.error);
    if (made.exit !== 0) return 'mknod failed';
    return openNode(node);
  } catch (error) {
    return errorCode(error) || errorMessage(error);
  } finally {
    fs.rmSync(node, { force: true });
  }
}

/** Opens the node, unless the directory's owner has replaced it with another device, which must not be opened. */
function openNode(node: string): string {
  return whileOpen(fs.openSync(node, O_PATH | fs.constants.O_NOFOLLOW), (named) => {
    const stat = fs.fstatSync(named);
    if (!stat.isCharacterDevice() || stat.rdev !== nullDevice) return 'another file took its place';
    fs.closeSync(fs.openSync(`/proc/self/fd/${named}`, fs.constants.O_RDONLY));
    return 'OPENED';
  });
}

/**
 * Returns an ELF executable for x86-64 (elf(5)) that exits with 1 if its effective user is root, else with 0. A script
 * cannot be used, because the kernel ignores the set-user-ID bit of scripts (fs/binfmt_script.c).
 */
function probeProgram(): Buffer {
  const code = Buffer.from(
    [
      'b86b000000', // mov eax, 107 (geteuid)
      '0f05', // syscall
      '31ff', // xor edi, edi
      '85c0', // test eax, eax
      '400f94c7', // sete dil
      'b83c000000', // mov eax, 60 (exit)
      '0f05', // syscall
    ].join(''),
    'hex',
  );
  const header = Buffer.alloc(headerBytes);
  header.write('\x7fELF\x02\x01\x01', 'latin1');
  header.writeUInt16LE(2, 16); // ET_EXEC
  header.writeUInt16LE(62, 18); // EM_X86_64
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(base + BigInt(headerBytes), 24); // entry
  header.writeBigUInt64LE(64n, 32); // program headers
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(1, 56);
  const size = BigInt(headerBytes + code.length);
  header.writeUInt32LE(1, 64); // PT_LOAD
  header.writeUInt32LE(5, 68); // readable, executable
  header.writeBigUInt64LE(base, 80);
  header.writeBigUInt64LE(base, 88);
  header.writeBigUInt64LE(size, 96);
  header.writeBigUInt64LE(size, 104);
  header.writeBigUInt64LE(4096n, 112);
  return Buffer.concat([header, code]);
}

const headerBytes = 64 + 56;
const base = 0x400000n;

const nobody = 65534;

/**
 * Executes a program in a directory.
 * @returns EACCES on a mount with noexec (execve(2)), RAN if the program ran, else the error code
 */
function tryExecute(directory: string): string {
  const { error } = run(directory, 0o700);
  return error === undefined ? 'RAN' : errorCode(error) || errorMessage(error);
}

/**
 * Executes a set-user-ID program of root as the user nobody. Requires root.
 * @returns HONOURED if the program ran as root, IGNORED if it did not, EACCES on a mount with noexec, else the error
 *     code
 */
function trySetUid(directory: string): string {
  if (process.geteuid?.() !== 0) return 'EPERM';
  // With no_new_privs (prctl(2)), the set-user-ID bit has no effect on any mount.
  if (/^NoNewPrivs:\s*1/m.test(fs.readFileSync('/proc/self/status', 'latin1'))) return 'NO_NEW_PRIVS';
  const { error, exit } = run(directory, 0o4711, { uid: nobody, gid: nobody });
  if (error !== undefined) return errorCode(error) || errorMessage(error);
  return exit === 0 ? 'IGNORED' : 'HONOURED';
}

function run(directory: string, mode: number, as: { uid?: number; gid?: number } = {}) {
  const executable = whileOpen(openUnnamed(directory), (writable) => {
    fs.writeSync(writable, probeProgram());
    fs.fchmodSync(writable, mode);
    // Reopen the file read-only, because a file that is open for writing cannot be executed (ETXTBSY).
    return fs.openSync(`/proc/self/fd/${writable}`, fs.constants.O_RDONLY);
  });
  return whileOpen(executable, (program) =>
    runSync('/proc/self/fd/3', [], { ...as, stdio: ['ignore', 'ignore', 'ignore', program] }),
  );
}
