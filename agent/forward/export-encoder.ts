import { randomBytes } from 'node:crypto';
import type { Encoder, Message } from './message.ts';
import { field } from './entry.ts';

/** Journal entries as they are, for systemd-journal-remote. */
export class ExportEncoder implements Encoder {
  #boot = '';
  #host = '';

  entry(cursor: string, text: string, _message: string | undefined, _cut: number, out: Message[]): void {
    // For what the agent itself has to say.
    if (this.#boot === '') this.#remember(text);
    out.push({ text, cursor });
  }

  notice(text: string, out: Message[]): void {
    const now = Date.now() * 1000;
    const boot = this.#boot === '' ? randomBytes(16).toString('hex') : this.#boot;
    out.push({
      text:
        `__REALTIME_TIMESTAMP=${now}\n__MONOTONIC_TIMESTAMP=${process.hrtime.bigint() / 1000n}\n_BOOT_ID=${boot}\n` +
        `PRIORITY=4\nSYSLOG_IDENTIFIER=immutafs-agent\n${this.#host}MESSAGE=${text}\n\n`,
      cursor: '',
    });
  }

  #remember(text: string): void {
    this.#boot = field(text, '\n_BOOT_ID=');
    const host = field(text, '\n_HOSTNAME=');
    this.#host = host === '' ? '' : `_HOSTNAME=${host}\n`;
  }
}
