import type net from 'node:net';
import { version } from '../../lib/version.ts';
import { type OutgoingMessage, RefusedError, type Transport } from '../stages.ts';
import { type ConnectOptions, SocketConnection, connectMilliseconds, connectSocket } from './connection.ts';
import type { Target } from '../../config/forward-target.ts';

/**
 * The maximum number of messages that are unacknowledged or not yet saved. In measurements, librelp's default of 128 is
 * much slower.
 */
export const relpWindow = 1024;
/**
 * Less than the window, so that acknowledgements that are not yet saved in the checkpoint do not prevent sending.
 * Otherwise, each batch of acknowledgements could take 40 ms longer: the server's kernel holds back further
 * acknowledgements until TCP has confirmed the first one (Nagle's algorithm), and the guest's kernel delays this
 * confirmation by 40 ms unless it can send it together with a message (delayed ACK).
 */
const relpUnacknowledged = 768;
/** The maximum length of a message. imrelp silently truncates a message, including its own header, to 8192 bytes. */
export const relpMessageBytes = 8000;
/** The timeout for an acknowledgement. Even a slow server acknowledges at least one message within this time. */
const progressMilliseconds = 60_000;

/** Opens a RELP session. @throws Error that describes the failed step */
export async function connectRelp(target: Target, options: ConnectOptions): Promise<Transport> {
  const relp = new RelpTransport(await connectSocket(target, options));
  try {
    const software = await relp.open();
    options.trace?.('protocol', `RELP session with ${software}`);
    return relp;
  } catch (error) {
    relp.destroy();
    throw error;
  }
}

class RelpTransport extends SocketConnection implements Transport {
  readonly #dialogue = new RelpDialogue();
  readonly #progress: NodeJS.Timeout;
  #opened: ((software: string) => void) | undefined;

  constructor(socket: net.Socket) {
    super(socket);
    socket.on('data', (chunk: Buffer) => {
      if (this.failure === undefined) this.#receive(chunk);
    });
    this.#progress = setTimeout(() => {
      if (this.#dialogue.unacknowledged === 0) return;
      this.fail(new Error(`no acknowledgement for ${progressMilliseconds / 1000} s`));
    }, progressMilliseconds).unref();
  }

  /** Opens the session. @returns the name of the server's software */
  async open(): Promise<string> {
    const late = () => this.fail(new Error(`no RELP response within ${connectMilliseconds / 1000} s`));
    const timer = setTimeout(late, connectMilliseconds);
    try {
      return await new Promise<string>((resolve, failed) => {
        this.#opened = resolve;
        this.listen({ acknowledged: () => undefined, drained: () => undefined, failed });
        this.socket.write(this.#dialogue.open(), 'latin1');
      });
    } finally {
      clearTimeout(timer);
    }
  }

  capacity(): number {
    return relpUnacknowledged - this.#dialogue.unacknowledged;
  }

  send(messages: OutgoingMessage[]): void {
    if (this.#dialogue.unacknowledged === 0) this.#progress.refresh();
    this.socket.write(this.#dialogue.messages(messages), 'latin1');
  }

  override close(): Promise<void> {
    return this.closeAfter(this.#dialogue.close());
  }

  protected release(): void {
    clearTimeout(this.#progress);
    this.socket.destroy();
  }

  #receive(chunk: Buffer): void {
    const { acknowledged, opened, closed, error } = this.#dialogue.receive(chunk.toString('latin1'));
    if (opened !== undefined) this.#opened?.(opened);
    if (acknowledged > 0) {
      this.#progress.refresh();
      this.events?.acknowledged(acknowledged);
    }
    if (error !== undefined) this.fail(error);
    else if (closed) this.destroy();
  }
}

/** The result of bytes from a server. Acknowledgements before an error are valid. */
export interface RelpResult {
  /** The number of further messages that the server has accepted, in the order in which they were sent. */
  acknowledged: number;
  /** The name of the server's software, if the server has answered `open`. */
  opened?: string;
  closed?: boolean;
  error?: Error;
}

const lastTxnr = 999_999_999;
const offers = `relp_version=0\nrelp_software=immutafs-agent,${version},\ncommands=syslog`;

/** Builds the frames and interprets the responses of a RELP session as the client (librelp's doc/relp.html). */
export class RelpDialogue {
  /** The beginning of a frame of the server that is not complete yet. */
  #held = '';
  /** The transaction numbers of messages that were acknowledged before an older message. */
  readonly #early = new Set<number>();
  /** The transaction number of `open`. */
  readonly #first: number;
  #next: number;
  #oldest: number;
  #phase: 'opening' | 'open' | 'closing' = 'opening';
  unacknowledged = 0;

  /** @param first the first transaction number; only tests of the wrap-around use another number than 1 */
  constructor(first = 1) {
    this.#first = this.#next = first;
    this.#oldest = following(first);
  }

  open(): string {
    return this.#frame('open', offers);
  }

  messages(messages: OutgoingMessage[]): string {
    let frames = '';
    for (const { text } of messages) frames += this.#frame('syslog', text);
    this.unacknowledged += messages.length;
    return frames;
  }

  close(): string {
    this.#phase = 'closing';
    return this.#frame('close', '');
  }

  /** Interprets bytes from the server. Never throws. @param text one character per byte (latin1) */
  receive(text: string): RelpResult {
    const before = this.unacknowledged;
    const answer: RelpResult = { acknowledged: 0 };
    try {
      this.#read(text, answer);
    } catch (error) {
      answer.error = error as Error;
    }
    answer.acknowledged = before - this.unacknowledged;
    return answer;
  }

  #frame(command: string, data: string): string {
    const txnr = this.#next;
    this.#next = following(txnr);
    return data === '' ? `${txnr} ${command} 0\n` : `${txnr} ${command} ${data.length} ${data}\n`;
  }

  #read(text: string, answer: RelpResult): void {
    let at = 0;
    if (this.#held === '' && this.#early.size === 0) {
      // Fast path for acknowledgements in the order in which the messages were sent.
      while (this.unacknowledged > 0) {
        const expected = `${this.#oldest} rsp 6 200 OK\n`;
        if (!text.startsWith(expected, at)) break;
        at += expected.length;
        this.#advance();
      }
    }
    if (at === text.length) return;
    const { frames, rest } = splitFrames(this.#held + text.slice(at));
    this.#held = rest;
    for (const frame of frames) this.#take(frame, answer);
  }

  #take({ txnr, command, data }: RelpFrame, answer: RelpResult): void {
    if (command === 'serverclose' && this.#phase === 'closing') return;
    if (command === 'serverclose') throw new Error('the server closed the session');
    if (command !== 'rsp') throw new Error(`unexpected command from the RELP server: ${command}`);
    const good = /^200( |\n|$)/.test(data);
    if (this.#phase === 'opening') {
      if (txnr !== this.#first || !good)
        throw new Error(`the server refused to open a session: ${quote(data)}`);
      this.#phase = 'open';
      answer.opened = /^relp_software=(.*)$/m.exec(data)?.[1] ?? 'an unnamed server';
      return;
    }
    const distance = (txnr - this.#oldest + lastTxnr) % lastTxnr;
    if (this.#phase === 'closing' && distance === this.unacknowledged) {
      answer.closed = true;
      return;
    }
    if (distance >= this.unacknowledged) throw new Error(`a response to an unknown transaction: ${txnr}`);
    if (!good) throw new RefusedError(`the server refused a message: ${quote(data)}`, distance, 1);
    this.#early.add(txnr);
    while (this.#early.delete(this.#oldest)) this.#advance();
  }

  #advance(): void {
    this.#oldest = following(this.#oldest);
    this.unacknowledged -= 1;
  }
}

function following(txnr: number): number {
  return txnr === lastTxnr ? 1 : txnr + 1;
}

function quote(data: string): string {
  return JSON.stringify(data.slice(0, 100));
}

/** A frame from a RELP server (librelp's doc/relp.html, "Syntax"): TXNR SP COMMAND SP DATALEN [SP DATA] LF. */
interface RelpFrame {
  txnr: number;
  command: string;
  data: string;
}

/** The limits for a frame. RELP servers send short responses, so a longer frame does not come from a RELP server. */
const dataBytes = 65536;
const headerBytes = 64;

/**
 * Splits the bytes from a server into complete frames and the rest, whose length is limited.
 * @param bytes one character per byte (latin1)
 * @throws Error for bytes that do not conform to the RELP protocol
 */
function splitFrames(bytes: string): { frames: RelpFrame[]; rest: string } {
  const frames: RelpFrame[] = [];
  let at = 0;
  for (let read = readFrame(bytes, at); read !== undefined; read = readFrame(bytes, at)) {
    frames.push(read.frame);
    at = read.end;
  }
  return { frames, rest: bytes.slice(at) };
}

/** Reads the frame at an offset. @returns undefined if the frame is incomplete */
function readFrame(bytes: string, at: number): { frame: RelpFrame; end: number } | undefined {
  const head = bytes.slice(at, at + headerBytes);
  const [all, txnr, command = '', length] =
    /^([0-9]{1,9}) ([A-Za-z]{1,32}) ([0-9]{1,9})(?=[ \n])/.exec(head) ?? [];
  if (all === undefined) {
    const prefix = /^([0-9]{1,9}( ([A-Za-z]{1,32}( [0-9]{0,9})?)?)?)?$/;
    if (prefix.test(head)) return undefined;
    throw new Error(`not a RELP frame: ${JSON.stringify(head.slice(0, 40))}`);
  }
  const bytesOfData = Number(length);
  if (bytesOfData > dataBytes) throw new Error(`a RELP frame of ${bytesOfData} bytes`);
  // Some servers write the space even if the data is empty.
  const start = at + all.length + (bytes[at + all.length] === ' ' ? 1 : 0);
  const end = start + bytesOfData;
  if (bytes.length <= end) return undefined;
  if (bytes[end] !== '\n') throw new Error('no line feed at the end of a RELP frame');
  return { frame: { txnr: Number(txnr), command, data: bytes.slice(start, end) }, end: end + 1 };
}
