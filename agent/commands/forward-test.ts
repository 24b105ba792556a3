import { randomUUID } from 'node:crypto';
import { forwarderUser, permitReading } from '../assess/log-access.ts';
import { type Config, words } from '../config/config.ts';
import { findAuditTrail } from '../facts/security/audit.ts';
import { expandPattern } from '../forward/files/patterns.ts';
import type { OutgoingMessage, Transport } from '../forward/stages.ts';
import type { Trace } from '../forward/transport/connection.ts';
import { protocolOf } from '../forward/transport/protocols.ts';
import type { Target } from '../config/forward-target.ts';
import { SystemError, errorMessage, unlessSystemError } from '../lib/errors.ts';
import { clean } from '../lib/format.ts';
import { item } from '../lib/journal-export/entry.ts';
import type { Clock } from '../system/clock.ts';
import type { SystemReader } from '../system/reader.ts';
import type { Output } from './output.ts';

const answerMilliseconds = 15_000;

/**
 * Runs `forward --test`, which sends a test entry to each server and prints each step, and prints which log files can be
 * read.
 * @returns 0 if every server accepted the entry and every log file can be read, else 1
 */
export async function testForwarding(
  reader: SystemReader,
  output: Output,
  targets: Target[],
  config: Config,
  clock: Clock,
): Promise<number> {
  let failed = 0;
  for (const target of targets) {
    output.stdout(`${printable(target.text)}\n`);
    const trace: Trace = (step, detail) => output.stdout(`  ${step.padEnd(9)} ${printable(detail)}\n`);
    try {
      const transport = await protocolOf(target).connect(target, { reader, config, trace });
      try {
        await sendTestEntry(reader, target, transport, clock, trace);
      } finally {
        await transport.close();
      }
    } catch (error) {
      failed += 1;
      trace('FAILED', errorMessage(error));
    }
  }
  const unreadable = await testLogFiles(reader, config, output);
  return failed + unreadable === 0 ? 0 : 1;
}

async function sendTestEntry(
  reader: SystemReader,
  target: Target,
  transport: Transport,
  clock: Clock,
  trace: Trace,
): Promise<void> {
  const content = `immutafs-agent forward --test ${randomUUID()}`;
  const messages: OutgoingMessage[] = [];
  const { hostname } = reader.environment();
  const text =
    `__CURSOR=test\n__REALTIME_TIMESTAMP=${clock.realtime()}\n__MONOTONIC_TIMESTAMP=${clock.monotonic()}\n` +
    `_BOOT_ID=${clock.bootId}\n_HOSTNAME=${hostname}\nPRIORITY=6\nSYSLOG_FACILITY=3\n` +
    `SYSLOG_IDENTIFIER=immutafs-agent\nMESSAGE=${content}\n\n`;
  const encoder = protocolOf(target).createEncoder(clock, hostname);
  encoder.encode(item('entry', 'test', text), messages);
  const [message] = messages;
  if (message === undefined) throw new Error('the encoder made no message of the test entry');
  trace('send', `"${content}", ${message.text.length} bytes`);
  const start = performance.now();
  await acknowledged(transport, [message]);
  const took = `${(performance.now() - start).toFixed(1)} ms`;
  if (target.protocol === 'syslog')
    trace('sent', 'the protocol has no acknowledgement: check that the server stored the entry');
  else trace('accepted', `the server acknowledged the entry after ${took}`);
}

function acknowledged(transport: Transport, messages: OutgoingMessage[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`no acknowledgement within ${answerMilliseconds / 1000} s`));
    const timer = setTimeout(late, answerMilliseconds);
    transport.listen({
      acknowledged: () => {
        clearTimeout(timer);
        resolve();
      },
      drained: () => undefined,
      failed: (error) => {
        clearTimeout(timer);
        reject(error);
      },
    });
    transport.send(messages, true);
  });
}

/** Replaces unprintable characters, so that servers and certificates cannot send escape sequences to the terminal. */
function printable(text: string): string {
  return text.replace(/[^ -~]/g, '?');
}

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
        const auditFile = unlessSystemError(() => findAuditTrail(reader)?.file);
        print(output, '', permitReading(file, auditFile));
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
