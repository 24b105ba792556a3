import { forwarderUser, permitReading } from '../assess/log-access.ts';
import { type Config, words } from '../config/config.ts';
import { findAuditTrail } from '../facts/security/audit-trail.ts';
import { expandPattern } from '../forward/files/patterns.ts';
import { SystemError } from '../lib/errors.ts';
import { clean } from '../lib/format.ts';
import type { SystemReader } from '../system/reader.ts';
import type { Output } from './output.ts';

/**
 * Prints for each log file of FORWARD_FILES whether the forwarder can read it. Root tries as the user of the forwarder.
 * @returns the number of files and directories that exist and cannot be read
 */
export async function testLogFiles(
  reader: SystemReader,
  config: Pick<Config, 'FORWARD_FILES'>,
  output: Output,
): Promise<number> {
  const patterns = words(config.FORWARD_FILES);
  if (patterns.length === 0) return 0;
  output.stdout('log files (FORWARD_FILES)\n');
  let unreadable = 0;
  for (const pattern of patterns) {
    const directories: string[] = [];
    const files = expandPattern(pattern, ({ message }) => directories.push(message));
    for (const directory of directories) print(output, 'FAILED', directory);
    unreadable += directories.length;
    if (files.length + directories.length === 0) print(output, 'none', `${pattern} matches no file`);
    for (const file of files) {
      const problem = await problemOf(reader, file);
      if (problem === undefined) print(output, 'read', file);
      else if (problem === absent) print(output, 'absent', file);
      else {
        unreadable += 1;
        print(output, 'FAILED', `${file}: ${problem}`);
        print(output, '', permitReading(file, auditFile(reader)));
      }
    }
  }
  return unreadable;
}

const absent = 'absent';

function print(output: Output, step: string, detail: string): void {
  output.stdout(`  ${step.padEnd(9)} ${clean(detail)}\n`);
}

/** Tries as the user of the forwarder. @returns undefined if the file can be read, `absent`, or the reason */
async function problemOf(reader: SystemReader, file: string): Promise<string | undefined> {
  try {
    const kind = reader.stat(file)?.kind;
    if (kind === undefined) return absent;
    if (kind !== 'file') return 'not a regular file';
  } catch (error) {
    // The path is printed before the reason.
    if (error instanceof SystemError) return error.message.replace(`${file}: `, '');
    throw error;
  }
  const test = ['/usr/bin/test', '-r', file];
  const asUser = ['/usr/sbin/runuser', '-u', forwarderUser, '--', ...test];
  const [program = '', ...args] = reader.environment().uid === 0 ? asUser : test;
  const { ended } = await reader.run(program, args);
  return ended === 'good' ? undefined : `the user ${forwarderUser} may not read it`;
}

function auditFile(reader: SystemReader): string | undefined {
  try {
    return findAuditTrail(reader)?.file;
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}
