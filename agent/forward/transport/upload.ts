import http from 'node:http';
import type net from 'node:net';
import { runEntries } from '../../lib/journal-export/entry.ts';
import { type OutgoingMessage, RefusedError, type Transport } from '../stages.ts';
import { type ConnectOptions, Connection, connectMilliseconds, connectSocket } from './connection.ts';
import type { Target } from '../../config/forward-target.ts';

const path = '/upload';
/**
 * The number of entries at which a request ends; the last item that is added to it may be a run. The limit doubles with
 * each request that reaches it and is accepted, because the server has nothing to do between two requests, so that many
 * small requests would reduce the throughput. Each connection begins with the first limit, because the entries of a
 * request are sent again if the connection breaks.
 */
const firstLimit = 8192;
const greatestLimit = 65_536;
/** How long a request stays open for further entries, because the server acknowledges only a complete request. */
const openMilliseconds = 100;
/** If at least this number of entries was added within that time, the request stays open for as long again. */
const busyEntries = 1024;
/** The maximum number of unacknowledged entries: those of one request, because the next request begins only afterwards. */
export const uploadWindow = greatestLimit + runEntries;
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

class UploadTransport extends Connection implements Transport {
  readonly #http: HttpConnection;
  #request: http.ClientRequest | undefined;
  #limitEntries = firstLimit;
  /** The number of messages in the current request. */
  #sent = 0;
  /** Whether further messages can be added to the request. */
  #open = false;
  /** Whether the last message that was sent is a piece of an incomplete entry, so that the request must stay open. */
  #withinEntry = false;
  /** Whether the request ends at the next end of an entry. */
  #due = false;
  /** The timer that sets `#due` unless many entries are being added. */
  #limit: NodeJS.Timeout | undefined;
  /** Whether the server closes the connection after this response, as proxies do after a number of requests. */
  #last = false;
  /** The timeout for the response. It is restarted whenever a part of the request is sent. */
  #progress: NodeJS.Timeout | undefined;

  constructor(socket: net.Socket, target: Target) {
    super();
    this.#http = new HttpConnection(socket, target);
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('the server closed the connection')));
  }

  async probe(): Promise<number> {
    const status = await new Promise<number>((responded, failed) => {
      const late = () => failed(new Error(`no response within ${connectMilliseconds / 1000} s`));
      const timer = setTimeout(late, connectMilliseconds);
      const request = this.#http.post((code) => responded(code), failed);
      request.on('close', () => clearTimeout(timer)).end();
    });
    if (status !== 202 && !refusalStatuses.has(status))
      throw new Error(`the server responds with ${status} to POST ${path}`);
    return status;
  }

  capacity(): number {
    if (this.failure !== undefined || this.#last) return 0;
    const maximum = this.#limitEntries + runEntries;
    if (this.#request === undefined) return maximum;
    if (!this.#open || this.#request.writableNeedDrain) return 0;
    return this.#withinEntry ? maximum : maximum - this.#sent;
  }

  send(messages: OutgoingMessage[], separate: boolean): void {
    const body = bodyOf(messages);
    this.#request ??= this.#begin();
    for (const { run } of messages) this.#sent += run?.count ?? 1;
    this.#withinEntry = messages.at(-1)?.continues === true;
    if (separate || this.#sent >= this.#limitEntries) this.#due = true;
    if (this.#due && !this.#withinEntry) this.#end(body);
    else this.#request.write(body, 'latin1');
    this.#progress?.refresh();
  }

  protected release(): void {
    this.#clearTimers();
    this.#http.destroy();
  }

  #begin(): http.ClientRequest {
    const request = this.#http.post(
      (status, last) => this.#responded(status, last),
      (error) => this.fail(error),
    );
    request.on('drain', () => this.events?.drained());
    const late = () => this.fail(new Error(`no response for ${progressMilliseconds / 1000} s`));
    this.#progress = setTimeout(late, progressMilliseconds).unref();
    this.#open = true;
    this.#due = false;
    this.#endLater();
    return request;
  }

  #endLater(): void {
    const before = this.#sent;
    this.#limit = setTimeout(() => {
      if (this.#sent - before >= busyEntries) {
        this.#endLater();
        return;
      }
      this.#due = true;
      if (!this.#withinEntry) this.#end('');
    }, openMilliseconds);
  }

  #end(body: string | Buffer): void {
    clearTimeout(this.#limit);
    this.#open = false;
    this.#request?.end(body, 'latin1');
  }

  #responded(status: number, last: boolean): void {
    if (this.failure !== undefined) return;
    this.#last = last;
    if (status !== 202) {
      this.#refuse(status);
      return;
    }
    if (this.#open) {
      this.fail(new Error('the server accepts a request that is not complete'));
      return;
    }
    const count = this.#sent;
    if (count >= this.#limitEntries) this.#limitEntries = Math.min(2 * this.#limitEntries, greatestLimit);
    this.#clearTimers();
    this.#request = undefined;
    this.#sent = 0;
    this.events?.acknowledged(count);
  }

  #refuse(status: number): void {
    const text = `the server responds with ${status} to entries`;
    this.fail(refusalStatuses.has(status) ? new RefusedError(text, 0, this.#sent) : new Error(text));
  }

  /** If the connection breaks during a request, an entry in the request may be the cause. */
  override fail(error: Error): void {
    const suspicious =
      this.#sent > 0 && !(error instanceof RefusedError) && /closed|reset|hang up|EPIPE/i.test(error.message);
    super.fail(suspicious ? new RefusedError(error.message, 0, this.#sent) : error);
  }

  #clearTimers(): void {
    clearTimeout(this.#progress);
    clearTimeout(this.#limit);
  }
}

/** Returns the content of messages. Does not copy a single run, which is the usual case under load. */
function bodyOf(messages: readonly OutgoingMessage[]): string | Buffer {
  const [first] = messages;
  if (messages.length === 1 && first?.run !== undefined) return first.run.bytes;
  if (messages.every(({ run }) => run === undefined)) return messages.map(({ text }) => text).join('');
  return Buffer.concat(messages.map(({ text, run }) => run?.bytes ?? Buffer.from(text, 'latin1')));
}

const bodyBytes = 65536;

/** Sends POST requests over an existing connection, one after another. */
class HttpConnection {
  readonly #socket: net.Socket;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  readonly #headers: Record<string, string>;

  constructor(socket: net.Socket, target: Target) {
    this.#socket = socket;
    let used = false;
    this.#agent.createConnection = (_, done) => {
      if (used) {
        // The error is passed to the callback, because an exception would be thrown within the close event of the old
        // connection, where it cannot be caught.
        done?.(new Error('the server closed the connection'), socket);
        return undefined;
      }
      used = true;
      return socket;
    };
    const host = target.host.includes(':') ? `[${target.host}]` : target.host;
    this.#headers = { Host: `${host}:${target.port}`, 'Content-Type': 'application/vnd.fdo.journal' };
  }

  /**
   * Begins a request. Its body is chunked, except if all of the body is passed to `end`.
   * @param responded is called when the response is complete, with its status, and whether the server closes the
   *   connection after it
   */
  post(
    responded: (status: number, last: boolean) => void,
    failed: (error: Error) => void,
  ): http.ClientRequest {
    const request = http.request({ agent: this.#agent, method: 'POST', path, headers: this.#headers });
    request.on('response', (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > bodyBytes) failed(new Error('the server sends a response without end'));
      });
      response.on('end', () => responded(response.statusCode ?? 0, !request.shouldKeepAlive));
    });
    return request.on('error', failed);
  }

  destroy(): void {
    this.#agent.destroy();
    this.#socket.destroy();
  }
}
