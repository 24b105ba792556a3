import { randomUUID } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { errorMessage } from '../lib/errors.ts';
import { type Clock, monotonicNow } from '../system/clock.ts';
import type { Message } from '../forward/encode/message.ts';
import { speech } from '../forward/transport/protocols.ts';
import type { Target } from '../forward/transport/target.ts';
import type { Transport } from '../forward/transport/transport.ts';
import type { SystemReader } from '../system/reader.ts';
import type { Output } from './output.ts';

const answerMilliseconds = 15_000;

/**
 * `forward --test`: sends one marked entry to each server and says, step by step, how it went.
 * @returns 0 where every server has it; 1 where one has not
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
    const tell = (step: string, detail: string) =>
      output.stdout(`  ${step.padEnd(9)} ${printable(detail)}\n`);
    try {
      const transport = await speech(target).connect(target, config, tell);
      try {
        await sendMarked(reader, target, transport, clock, tell);
      } finally {
        await transport.close();
      }
    } catch (error) {
      failed += 1;
      tell('FAILED', errorMessage(error));
    }
  }
  return failed === 0 ? 0 : 1;
}

type Tell = (step: string, detail: string) => void;

async function sendMarked(
  reader: SystemReader,
  target: Target,
  transport: Transport,
  clock: Clock,
  tell: Tell,
): Promise<void> {
  const mark = `immutafs-agent forward --test ${randomUUID()}`;
  const messages: Message[] = [];
  const { hostname } = reader.environment();
  const entry =
    `__CURSOR=test\n__REALTIME_TIMESTAMP=${clock.realtime()}\n__MONOTONIC_TIMESTAMP=${monotonicNow()}\n_BOOT_ID=${clock.bootId}\n` +
    `_HOSTNAME=${hostname}\nPRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=immutafs-agent\nMESSAGE=${mark}\n\n`;
  speech(target).encoder(clock, hostname).entry('test', entry, undefined, 0, messages);
  const [message] = messages;
  if (message === undefined) throw new Error('no message was made');
  tell('send', `"${mark}", ${message.text.length} bytes`);
  const start = performance.now();
  await acknowledged(transport, [message]);
  const took = `${(performance.now() - start).toFixed(1)} ms`;
  if (target.protocol === 'syslog') tell('sent', 'nobody acknowledges it: look for it on the server');
  else tell('accepted', `the server acknowledged it after ${took}`);
}

function acknowledged(transport: Transport, messages: Message[]): Promise<void> {
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
    transport.send(messages);
  });
}

/** What comes from certificates and servers must not drive the terminal. */
function printable(text: string): string {
  return text.replace(/[^ -~]/g, '?');
}
