import fs from 'node:fs';
import path from 'node:path';
import { SystemError } from '../lib/errors.ts';
import { runSync } from './exec.ts';
import { syncFile } from './files.ts';

/*
 * The attributes of files beside their mode: owner, ACLs, extended attributes and the SELinux label. Node.js cannot read
 * or set all of them, and minimal guests have neither getfattr(1) nor getfacl(1). cp(1) of coreutils copies all of them.
 */

const cp = '/usr/bin/cp';
/** With --preserve=all alone, cp(1) ignores every failure to copy an extended attribute. */
const everything = ['--no-target-directory', '--preserve=all', '--preserve=mode,ownership,xattr'];

/**
 * Copies a file with its attributes and times, or a symbolic link. Waits until the copy is on the disk.
 * @param to a path that does not exist
 * @throws the system's error if the file does not exist; SystemError for a directory or a special file
 */
export function copyFile(from: string, to: string): void {
  const stat = fs.lstatSync(from);
  if (!stat.isFile() && !stat.isSymbolicLink()) throw new SystemError(`${from}: neither a file nor a link`);
  runCp(['--no-dereference', ...everything], from, to);
  if (stat.isFile()) syncFile(to);
}

/**
 * Copies the attributes of a file to another file, whose content and times stay unchanged. To be called after the last
 * write, because the kernel removes the capabilities of a file that is written (capabilities(7)). Waits until both are on
 * the disk.
 */
export function copyAttributes(from: string, to: string): void {
  const { size } = fs.lstatSync(to);
  runCp(['--attributes-only', ...everything, '--no-preserve=timestamps'], from, to);
  // cp(1) before coreutils 8.20 truncates the file.
  if (fs.lstatSync(to).size !== size) throw new Error(`${cp} --attributes-only changed the content`);
  syncFile(to);
}

function runCp(options: readonly string[], from: string, to: string): void {
  const { exit, error, stderr } = runSync(cp, [...options, '--', ofThisProcess(from), ofThisProcess(to)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (error !== undefined) throw error;
  if (exit !== 0) throw new Error(`the attributes cannot be copied: ${stderr.trim() || `cp: ${exit}`}`);
}

/** For a child process, /proc/self is another process. */
function ofThisProcess(file: string): string {
  return file.replace(/^\/proc\/self\//, `/proc/${process.pid}/`);
}

const restorecon = ['/usr/sbin/restorecon', '/sbin/restorecon'];

/**
 * Gives a new file or link the SELinux label that the policy has for its path. Without this, it keeps the label of
 * a new file in its directory. Does nothing if SELinux is disabled.
 */
export function labelNewFile(file: string): void {
  if (!fs.existsSync('/sys/fs/selinux/enforce')) return;
  const program = restorecon.find((each) => fs.existsSync(each));
  if (program === undefined) return;
  // The exit code is ignored, because restorecon(8) fails for paths for which the policy has no label.
  const { error } = runSync(program, [path.normalize(file)]);
  if (error !== undefined) throw error;
}
