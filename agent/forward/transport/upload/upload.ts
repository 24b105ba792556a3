import type http from 'node:http';
import type net from 'node:net';
import { type Trace, connectMilliseconds, dial } from '../connect.ts';
import { HttpConnection } from './http-connection.ts';
import type { Message } from '../../encode/message.ts';
import type { Target } from '../target.ts';
import type { TlsConfig } from '../tls.ts';
import { RefusedError, type Transport, type TransportEvents } from '../transport.ts';

const path = '/upload';
/** Entries of one request. */
const batch = 2048;
export const uploadWindow = 2 * batch;
const progressMilliseconds = 60_000;
/** Answers about what was sent and not about the server: systemd 219 has 413 and 422, 257 has 417. */
const aboutEntries = new Set([400, 413, 417, 422]);

/**
 * systemd-journal-remote's protocol: POST /upload with entries in the export format, answered by 202.
 * @throws Error saying which step failed
 */
export async function connectUpload(target: Target, config: TlsConfig, trace?: Trace): Promise<Transport> {
  const upload = new Upload(await dial(target, config, trace), target);
  try {
    // Nothing, to learn whether somebody is there who takes entries: what fails after that is about an entry.
    const status = await upload.probe();
    trace?.('protocol', `POST /upload of nothing was answered by ${status}`);
    return upload;
  } catch (error) {
    upload.destroy();
    throw error;
  }
}

class Upload implements Transport {
  readonly #http: HttpConnection;
  #events: TransportEvents | undefined;
  #failure: Error | undefined;
  #request: http.ClientRequest | undefined;
  #sent = 0;
  #open = false;
  /** The server closes the connection after what it has answered: a proxy does so after some requests. */
  #last = false;
  /** Of the request, when something last went on. */
  #progress: NodeJS.Timeout | undefined;

  constructor(socket: net.Socket, target: Target) {
    this.#http = new HttpConnection(socket, target);
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  async probe(): Promise<number> {
    const status = await new Promise<number>((resolve, reject) => {
      const late = () => reject(new Error(`no answer within ${connectMilliseconds / 1000} s`));
      const timer = setTimeout(late, connectMilliseconds);
      const answered = (code: number) => {
        clearTimeout(timer);
        resolve(code);
      };
      const failed = (error: Error) => {
        clearTimeout(timer);
        reject(error);
      };
      this.#http.post(path, 0, { answered, failed }).end();
    });
    if (status !== 202 && !aboutEntries.has(status))
      throw new Error(`the server answers ${status} to POST ${path}`);
    return status;
  }

  listen(events: TransportEvents): void {
    this.#events = events;
    if (this.#failure !== undefined) events.failed(this.#failure);
  }

  room(): number {
    if (this.#failure !== undefined || this.#last) return 0;
    if (this.#request === undefined) return batch;
    return this.#open && !this.#request.writableNeedDrain ? batch - this.#sent : 0;
  }

  /** A request goes on while the last entry is not whole, and ends with an entry. */
  send(messages: Message[]): void {
    const whole = !messages.at(-1)?.goesOn;
    const body =
      messages.length === 1 ? (messages[0]?.text ?? '') : messages.map(({ text }) => text).join('');
    this.#request ??= this.#begin(whole ? body.length : undefined);
    this.#sent += messages.length;
    this.#open = !whole;
    if (whole) this.#request.end(body, 'latin1');
    else this.#request.write(body, 'latin1');
    this.#progress?.refresh();
  }

  close(): Promise<void> {
    this.destroy();
    return Promise.resolve();
  }

  destroy(): void {
    clearTimeout(this.#progress);
    this.#failure ??= new Error('closed');
    this.#http.destroy();
  }

  /** @param length undefined: chunked */
  #begin(length: number | undefined): http.ClientRequest {
    const request = this.#http.post(path, length, {
      answered: (status, last) => this.#answered(status, last),
      failed: (error) => this.#fail(error),
    });
    request.on('drain', () => this.#events?.drained());
    const late = () => this.#fail(new Error(`no answer for ${progressMilliseconds / 1000} s`));
    this.#progress = setTimeout(late, progressMilliseconds).unref();
    return request;
  }

  #answered(status: number, last: boolean): void {
    if (this.#failure !== undefined) return;
    this.#last = last;
    if (status !== 202) {
      this.#refuse(status);
      return;
    }
    const count = this.#sent;
    clearTimeout(this.#progress);
    this.#request = undefined;
    this.#sent = 0;
    this.#events?.acknowledged(count);
  }

  #refuse(status: number): void {
    const text = `the server answers ${status} to entries`;
    this.#fail(aboutEntries.has(status) ? new RefusedError(text, 0, this.#sent) : new Error(text));
  }

  /** A connection that breaks while entries are on their way may break because of one. */
  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    const suspicious =
      this.#sent > 0 && !(error instanceof RefusedError) && /closed|reset|hang up|EPIPE/i.test(error.message);
    this.#failure = suspicious ? new RefusedError(error.message, 0, this.#sent) : error;
    clearTimeout(this.#progress);
    this.#http.destroy();
    this.#events?.failed(this.#failure);
  }
}
