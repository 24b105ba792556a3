import http from 'node:http';
import type net from 'node:net';
import type { Target } from '../target.ts';

export interface HttpAnswer {
  /**
   * The whole answer is there; it is read and thrown away.
   * @param last the server closes the connection after it
   */
  answered(status: number, last: boolean): void;
  failed(error: Error): void;
}

/** What a server may have to say beside the status. */
const answerBytes = 65536;

/** POST requests over one connection that is there already, one after the other. */
export class HttpConnection {
  readonly #socket: net.Socket;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  readonly #headers: Record<string, string>;

  constructor(socket: net.Socket, target: Target) {
    this.#socket = socket;
    let used = false;
    this.#agent.createConnection = (_, done) => {
      if (used) {
        // Thrown, it would come out of the event of the old connection's end, and nobody could catch it.
        done?.(new Error('the server closed the connection'), socket);
        return undefined;
      }
      used = true;
      return socket;
    };
    const host = target.host.includes(':') ? `[${target.host}]` : target.host;
    this.#headers = { Host: `${host}:${target.port}`, 'Content-Type': 'application/vnd.fdo.journal' };
  }

  /** @param length of the body in bytes; undefined: chunked */
  post(path: string, length: number | undefined, answer: HttpAnswer): http.ClientRequest {
    const more = length === undefined ? {} : { 'Content-Length': String(length) };
    const headers = { ...this.#headers, ...more };
    const request = http.request({ agent: this.#agent, method: 'POST', path, headers });
    request.on('response', (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > answerBytes) answer.failed(new Error('the server answers without an end'));
      });
      response.on('end', () => answer.answered(response.statusCode ?? 0, !request.shouldKeepAlive));
    });
    request.on('error', (error) => answer.failed(error));
    return request;
  }

  destroy(): void {
    this.#agent.destroy();
    this.#socket.destroy();
  }
}
