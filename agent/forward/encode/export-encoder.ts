import type { Clock } from '../../system/clock.ts';
import type { LogEntry } from '../reader.ts';
import type { Encoder, OutgoingMessage } from './encoder.ts';

/** Passes journal entries through unchanged, for systemd-journal-remote. */
export class ExportEncoder implements Encoder {
  readonly #clock: Clock;
  readonly #host: string;

  /** @param hostname the host name in the agent's own messages */
  constructor(clock: Clock, hostname: string) {
    this.#clock = clock;
    this.#host = hostname;
  }

  encode({ cursor, text }: LogEntry, out: OutgoingMessage[]): void {
    out.push({ text, cursor });
  }

  encodeNotice(message: string, out: OutgoingMessage[]): void {
    const { realtime, monotonic, bootId } = this.#clock;
    const text =
      `__REALTIME_TIMESTAMP=${realtime()}\n__MONOTONIC_TIMESTAMP=${monotonic()}\n_BOOT_ID=${bootId}\n` +
      `_HOSTNAME=${this.#host}\nPRIORITY=4\nSYSLOG_IDENTIFIER=immutafs-agent\nMESSAGE=${message}\n\n`;
    out.push({ text, cursor: '' });
  }
}
