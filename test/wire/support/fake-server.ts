import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';

export interface FakeServer {
  server: net.Server | tls.Server;
  /** The number of connections; with TLS, of complete handshakes. */
  connections: number;
  received: number;
  close: () => void;
}

/**
 * Starts a server on a port of this machine, which `closeFakes` closes. The test handles each connection.
 * @param options the server uses TLS with these options
 */
export async function fakeServer(
  port: number,
  behave: (socket: net.Socket, connection: number) => void,
  options?: tls.TlsOptions,
): Promise<FakeServer> {
  const sockets = new Set<net.Socket>();
  const serve = (socket: net.Socket) => {
    sockets.add(socket);
    fake.connections += 1;
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => (fake.received += chunk.length));
    behave(socket, fake.connections);
  };
  const server = options === undefined ? net.createServer(serve) : tls.createServer(options, serve);
  server.on('tlsClientError', () => undefined);
  const fake: FakeServer = {
    ...{ server, connections: 0, received: 0 },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      opened.delete(fake);
    },
  };
  await new Promise<void>((resolve) => server.listen(port, resolve));
  opened.add(fake);
  return fake;
}

/** Returns the server's certificate and key, and the CA that signs client certificates. */
export function keyOf(directory: string): tls.TlsOptions {
  const read = (name: string) => fs.readFileSync(`${directory}/${name}`);
  return { ca: read('ca.pem'), cert: read('server.pem'), key: read('server.key') };
}

const opened = new Set<{ close: () => void }>();

export function closeFakes(): void {
  for (const fake of opened) fake.close();
  opened.clear();
}

/** Returns a RELP server that answers `open` and `close`. The test answers each message. */
export function relpServer(
  answer: (txnr: number, socket: net.Socket, text: string) => void,
): (socket: net.Socket) => void {
  return (socket) => {
    let held = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      held = Buffer.concat([held, chunk]);
      for (;;) {
        const [head, txnr, command, length] =
          /^(\d+) (\w+) (\d+)[ \n]/.exec(held.toString('latin1', 0, 64)) ?? [];
        if (head === undefined) return;
        const end = head.length + Number(length) + (Number(length) > 0 ? 1 : 0);
        if (held.length < end) return;
        const text = held.toString('latin1', head.length, end - 1);
        held = held.subarray(end);
        if (command === 'open') socket.write(`${txnr ?? ''} rsp 6 200 OK\n`);
        else if (command === 'close') socket.end(`${txnr ?? ''} rsp 0\n0 serverclose 0\n`);
        else answer(Number(txnr), socket, text);
      }
    });
  };
}

export interface UploadServer {
  requests: number;
  /** The MESSAGE of every received entry. */
  stored: string[];
  close: () => void;
}

/** Starts an HTTP server that stores posted entries. The test answers each request. */
export async function uploadServer(
  port: number,
  answer: (response: http.ServerResponse, entries: string[]) => void,
): Promise<UploadServer> {
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')));
    request.on('end', () => {
      const entries = body.match(/(?<=^MESSAGE=).*/gm) ?? [];
      it.stored.push(...entries);
      it.requests += 1;
      answer(response, entries);
    });
  });
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  const it: UploadServer = { requests: 0, stored: [], close };
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  opened.add(it);
  return it;
}
