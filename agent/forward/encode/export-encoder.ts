import type { Clock } from '../../system/clock.ts';
import type { Encoder, Message } from './message.ts';

/** Journal entries as they are, for systemd-journal-remote. */
export class ExportEncoder implements Encoder {
  readonly #clock: Clock;
  readonly #host: string;

  /** @param hostname for what the agent itself has to say before there was an entry */
  constructor(clock: Clock, hostname: string) {
    this.#clock = clock;
    this.#host = hostname;
  }

  entry(cursor: string, text: string, _message: string | undefined, _cut: number, out: Message[]): void {
    out.push({ text, cursor });
  }

  notice(said: string, out: Message[]): void {
    const { realtime, monotonic, bootId } = this.#clock;
    const text =
      `__REALTIME_TIMESTAMP=${realtime()}\n__MONOTONIC_TIMESTAMP=${monotonic()}\n_BOOT_ID=${bootId}\n` +
      `_HOSTNAME=${this.#host}\nPRIORITY=4\nSYSLOG_IDENTIFIER=immutafs-agent\nMESSAGE=${said}\n\n`;
    out.push({ text, cursor: '' });
  }
}
