import http from 'node:http';
import type net from 'node:net';
import type { Target } from '../target.ts';

export interface HttpEvents {
  /**
   * The response is complete, and its body was discarded.
   * @param last whether the server closes the connection after this response
   */
  responded(status: number, last: boolean): void;
  failed(error: Error): void;
}

/** The maximum size of a response body. */
const bodyBytes = 65536;

/** Sends POST requests over an existing connection, one after another. */
export class HttpConnection {
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

  /** Begins a request. Its body is chunked, except if all of the body is passed to `end`. */
  post(path: string, events: HttpEvents): http.ClientRequest {
    const request = http.request({ agent: this.#agent, method: 'POST', path, headers: this.#headers });
    request.on('response', (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > bodyBytes) events.failed(new Error('the server sends a response without end'));
      });
      response.on('end', () => events.responded(response.statusCode ?? 0, !request.shouldKeepAlive));
    });
    request.on('error', (error) => events.failed(error));
    return request;
  }

  destroy(): void {
    this.#agent.destroy();
    this.#socket.destroy();
  }
}
