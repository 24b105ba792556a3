import { randomUUID } from 'node:crypto';
import type { Config } from '../config/config.ts';
import type { OutgoingMessage, Transport } from '../forward/stages.ts';
import type { Trace } from '../forward/transport/connection.ts';
import { protocolOf } from '../forward/transport/protocols.ts';
import type { Target } from '../forward/transport/target.ts';
import { errorMessage } from '../lib/errors.ts';
import { item } from '../lib/journal-export/entry.ts';
import type { Clock } from '../system/clock.ts';
import type { SystemReader } from '../system/reader.ts';
import { testLogFiles } from './forward-test-files.ts';
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
