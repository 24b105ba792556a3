import { version } from '../../../lib/version.ts';
import type { Message } from '../../encode/message.ts';
import { type RelpFrame, RelpError, RelpResponses } from './responses.ts';
import { RefusedError } from '../transport.ts';

/** What a server's bytes amount to. Where there is an error, what comes before it still counts. */
export interface RelpAnswer {
  /** How many further messages, in the order of sending, the server has accepted. */
  acknowledged: number;
  /** The answer to `open`: the server's name for itself. */
  opened?: string;
  closed?: boolean;
  error?: Error;
}

const lastTxnr = 999_999_999;
const offers = `relp_version=0\nrelp_software=immutafs-agent,${version},\ncommands=syslog`;

/** One RELP session seen from the client (librelp's doc/relp.html): what to write, and what answers mean. */
export class RelpDialogue {
  readonly #responses = new RelpResponses();
  /** Answered before an older one. */
  readonly #early = new Set<number>();
  /** The number of `open`. */
  readonly #first: number;
  #next: number;
  #oldest: number;
  #phase: 'opening' | 'open' | 'closing' = 'opening';
  /** Messages without an answer. */
  inFlight = 0;

  /** @param first a session begins with 1: another is for tests of what comes after the last number */
  constructor(first = 1) {
    this.#first = this.#next = first;
    this.#oldest = following(first);
  }

  open(): string {
    return this.#frame('open', offers);
  }

  messages(messages: Message[]): string {
    let frames = '';
    for (const { text } of messages) frames += this.#frame('syslog', text);
    this.inFlight += messages.length;
    return frames;
  }

  close(): string {
    this.#phase = 'closing';
    return this.#frame('close', '');
  }

  /** @param text one character a byte; never throws */
  receive(text: string): RelpAnswer {
    const before = this.inFlight;
    const answer: RelpAnswer = { acknowledged: 0 };
    try {
      this.#read(text, answer);
    } catch (error) {
      answer.error = error as Error;
    }
    answer.acknowledged = before - this.inFlight;
    return answer;
  }

  #frame(command: string, data: string): string {
    const txnr = this.#next;
    this.#next = following(txnr);
    return data === '' ? `${txnr} ${command} 0\n` : `${txnr} ${command} ${data.length} ${data}\n`;
  }

  #read(text: string, answer: RelpAnswer): void {
    let at = 0;
    if (this.#responses.empty && this.#early.size === 0) {
      // The ordinary answers, to each message in turn.
      while (this.inFlight > 0) {
        const ordinary = `${this.#oldest} rsp 6 200 OK\n`;
        if (!text.startsWith(ordinary, at)) break;
        at += ordinary.length;
        this.#advance();
      }
    }
    if (at === text.length) return;
    for (const frame of this.#responses.push(text.slice(at))) this.#take(frame, answer);
  }

  #take({ txnr, command, data }: RelpFrame, answer: RelpAnswer): void {
    if (command === 'serverclose' && this.#phase === 'closing') return;
    if (command === 'serverclose') throw new Error('the server closes the session');
    if (command !== 'rsp') throw new RelpError(`unexpected from a RELP server: ${command}`);
    const good = /^200( |\n|$)/.test(data);
    if (this.#phase === 'opening') {
      if (txnr !== this.#first || !good) throw new RelpError(`the server refused to open: ${said(data)}`);
      this.#phase = 'open';
      answer.opened = /^relp_software=(.*)$/m.exec(data)?.[1] ?? 'a server without a name';
      return;
    }
    const distance = (txnr - this.#oldest + lastTxnr) % lastTxnr;
    if (this.#phase === 'closing' && distance === this.inFlight) {
      answer.closed = true;
      return;
    }
    if (distance >= this.inFlight) throw new RelpError(`an answer to nothing: ${txnr}`);
    if (!good) throw new RefusedError(`the server refused a message: ${said(data)}`, distance, 1);
    this.#early.add(txnr);
    while (this.#early.delete(this.#oldest)) this.#advance();
  }

  #advance(): void {
    this.#oldest = following(this.#oldest);
    this.inFlight -= 1;
  }
}

function following(txnr: number): number {
  return txnr === lastTxnr ? 1 : txnr + 1;
}

function said(data: string): string {
  return JSON.stringify(data.slice(0, 100));
}
