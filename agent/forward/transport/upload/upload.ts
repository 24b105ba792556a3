import type http from 'node:http';
import type net from 'node:net';
import { connectMilliseconds, connectSocket } from '../connect.ts';
import { HttpConnection } from './http-connection.ts';
import type { OutgoingMessage } from '../../encode/encoder.ts';
import type { Target } from '../target.ts';
import { type ConnectOptions, RefusedError, type Transport, type TransportEvents } from '../transport.ts';

const path = '/upload';
/** The maximum number of entries in a request. */
const batchEntries = 2048;
export const uploadWindow = 2 * batchEntries;
const progressMilliseconds = 60_000;
/** The status codes that refuse entries. systemd 219 responds with 413 and 422, systemd 257 with 417. */
const refusalStatuses = new Set([400, 413, 417, 422]);

/**
 * Connects to a server with the protocol of systemd-journal-remote. The client sends entries in the export format with
 * `POST /upload`, and the server accepts them with status 202.
 * @throws Error that describes the failed step
 */
export async function connectUpload(target: Target, options: ConnectOptions): Promise<Transport> {
  const upload = new UploadTransport(await connectSocket(target, options), target);
  try {
    // An empty request verifies that the server accepts uploads, so that the cause of a later refusal is an entry.
    const status = await upload.probe();
    options.trace?.('protocol', `empty POST /upload: status ${status}`);
    return upload;
  } catch (error) {
    upload.destroy();
    throw error;
  }
}

class UploadTransport implements Transport {
  readonly #http: HttpConnection;
  #events: TransportEvents | undefined;
  #failure: Error | undefined;
  #request: http.ClientRequest | undefined;
  /** The number of messages in the current request. */
  #sent = 0;
  /** Whether the request continues with the next message. */
  #open = false;
  /** Whether the server closes the connection after this response, as proxies do after a number of requests. */
  #last = false;
  /** The timeout for the response. It is restarted whenever a part of the request is sent. */
  #progress: NodeJS.Timeout | undefined;

  constructor(socket: net.Socket, target: Target) {
    this.#http = new HttpConnection(socket, target);
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  async probe(): Promise<number> {
    const status = await new Promise<number>((resolve, reject) => {
      const late = () => reject(new Error(`no response within ${connectMilliseconds / 1000} s`));
      const timer = setTimeout(late, connectMilliseconds);
      const responded = (code: number) => {
        clearTimeout(timer);
        resolve(code);
      };
      const failed = (error: Error) => {
        clearTimeout(timer);
        reject(error);
      };
      this.#http.post(path, 0, { responded, failed }).end();
    });
    if (status !== 202 && !refusalStatuses.has(status))
      throw new Error(`the server responds with ${status} to POST ${path}`);
    return status;
  }

  listen(events: TransportEvents): void {
    this.#events = events;
    if (this.#failure !== undefined) events.failed(this.#failure);
  }

  capacity(): number {
    if (this.#failure !== undefined || this.#last) return 0;
    if (this.#request === undefined) return batchEntries;
    return this.#open && !this.#request.writableNeedDrain ? batchEntries - this.#sent : 0;
  }

  /** Adds the messages to the current request, which stays open until a message completes its entry. */
  send(messages: OutgoingMessage[]): void {
    const complete = !messages.at(-1)?.continues;
    const body =
      messages.length === 1 ? (messages[0]?.text ?? '') : messages.map(({ text }) => text).join('');
    this.#request ??= this.#begin(complete ? body.length : undefined);
    this.#sent += messages.length;
    this.#open = !complete;
    if (complete) this.#request.end(body, 'latin1');
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

  /** @param length the length of the body in bytes; undefined for a chunked body */
  #begin(length: number | undefined): http.ClientRequest {
    const request = this.#http.post(path, length, {
      responded: (status, last) => this.#responded(status, last),
      failed: (error) => this.#fail(error),
    });
    request.on('drain', () => this.#events?.drained());
    const late = () => this.#fail(new Error(`no response for ${progressMilliseconds / 1000} s`));
    this.#progress = setTimeout(late, progressMilliseconds).unref();
    return request;
  }

  #responded(status: number, last: boolean): void {
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
    const text = `the server responds with ${status} to entries`;
    this.#fail(refusalStatuses.has(status) ? new RefusedError(text, 0, this.#sent) : new Error(text));
  }

  /** If the connection breaks during a request, an entry in the request may be the cause. */
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
