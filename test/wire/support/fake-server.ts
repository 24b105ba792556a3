import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';

export interface FakeServer {
  connections: number;
  received: number;
  close: () => void;
}

/**
 * Starts a server on a port of the loopback interface. The test handles each connection.
 * @param certificates the directory of the server's certificate, for TLS
 */
export async function fakeServer(
  port: number,
  behave: (socket: net.Socket, connection: number) => void,
  certificates?: string,
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
  const server =
    certificates === undefined ? net.createServer(serve) : tls.createServer(keyOf(certificates), serve);
  const fake: FakeServer = {
    connections: 0,
    received: 0,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      opened.delete(fake);
    },
  };
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  opened.add(fake);
  return fake;
}

/** Returns the server's certificate and key, and the CA that signs client certificates. */
function keyOf(directory: string): tls.TlsOptions {
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

/** Starts a TLS server without a certificate, like a man-in-the-middle attacker who has no private key. */
export function anonymousTls(port: number): Promise<tls.Server> {
  const options = { ciphers: 'ADH-AES256-SHA256:@SECLEVEL=0', maxVersion: 'TLSv1.2' } as const;
  const server = tls.createServer(options, (socket) => socket.on('error', () => undefined));
  server.on('tlsClientError', () => undefined);
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(server)));
}

/** Starts a TLS server with the given limits, which discards what it receives. `closeFakes` closes it. */
export async function limitedTls(
  port: number,
  directory: string,
  limits: tls.TlsOptions,
): Promise<tls.Server> {
  const sockets = new Set<net.Socket>();
  const server = tls.createServer({ ...keyOf(directory), ...limits }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).resume();
  });
  server.on('tlsClientError', () => undefined);
  opened.add({
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}

/** Starts a proxy that forwards connections to a server, but only from clients with a certificate signed by the CA. */
export async function tlsGate(port: number, server: number, directory: string): Promise<tls.Server> {
  const gate = tls.createServer({ ...keyOf(directory), requestCert: true }, (socket) => {
    const behind = net.connect(server, '127.0.0.1');
    socket.pipe(behind).pipe(socket);
    for (const each of [socket, behind]) each.on('error', () => each.destroy());
  });
  gate.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => gate.listen(port, '127.0.0.1', resolve));
  return gate;
}
