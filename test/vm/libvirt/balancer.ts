import { chmod, writeFile } from 'node:fs/promises';
import { createServer, get } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { until } from '../../wire/support/until.ts';
import { freePort } from './domain.ts';

/** What the requests of a load got. */
export interface Load {
  succeeded: number;
  /** What went wrong, for each request that failed. */
  failed: string[];
  /** The names of the guests that answered. */
  answered: Set<string>;
}

/** A balancer in front of guests. */
export interface Balancer {
  /** Sends requests, four at a time, while `work` runs. */
  loadWhile: (work: () => Promise<void>) => Promise<Load>;
}

/** A guest behind the balancer. */
export interface Served {
  name: string;
  /** The port of 127.0.0.1 on which its QEMU listens. */
  port: number;
  isDrained?: boolean;
}

/** How long a guest takes to answer, ms. */
const service = 50;

/**
 * Calls `work` with HAProxy in front of guests without an operating system, which repeats no request. For each guest, a
 * server here answers as long as the QEMU of the guest runs, and breaks the connection otherwise, also in the middle of
 * a request. The program `balancer drain` or `balancer ready` in `folder`/bin changes the state of the guest $NAME;
 * `drain` waits until no request is under way.
 */
export async function withBalancer(
  folder: string,
  guests: readonly Served[],
  work: (balancer: Balancer) => Promise<void>,
): Promise<void> {
  const servers = await Promise.all(guests.map(serverOf));
  const [port, socket, config] = [
    await freePort(),
    join(folder, 'balancer.socket'),
    join(folder, 'haproxy.cfg'),
  ];
  await writeFile(
    config,
    `global
  stats socket ${socket} level admin
defaults
  mode http
  retries 0
  option http-server-close
  timeout connect 2s
  timeout client 10s
  timeout server 10s
listen pool
  bind 127.0.0.1:${port}
${guests.map(({ name }, at) => `  server ${name} 127.0.0.1:${servers[at]?.port}\n`).join('')}`,
  );
  const program = join(folder, 'bin/balancer');
  await writeFile(program, programFor(socket));
  await chmod(program, 0o755);
  const haproxy = execa('/usr/sbin/haproxy', ['-db', '-f', config], { reject: false, all: true });
  try {
    for (const { name } of guests.filter(({ isDrained }) => isDrained))
      await until(
        'the balancer',
        async () => !(await execa(program, ['drain'], { env: { NAME: name }, reject: false })).failed,
      );
    await work({ loadWhile: (during) => loadWhile(port, during) });
  } finally {
    haproxy.kill();
    await haproxy;
    for (const { close } of servers) close();
  }
}

const programFor = (socket: string) => `#!/usr/bin/python3
import os, socket, sys, time
name = os.environ["NAME"]
def ask(command):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("${socket}")
        connection.sendall(command.encode() + b"\\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
answer = ask("set server pool/%s state %s" % (name, sys.argv[1])).strip()
if answer:
    sys.exit(answer)
def requests():
    line = next(line for line in ask("show stat").splitlines() if line.startswith("pool,%s," % name))
    return int(line.split(",")[4])
while sys.argv[1] == "drain" and requests() > 0:
    time.sleep(0.02)
`;

/** Starts the server of a guest. */
async function serverOf({ name, port }: Served): Promise<{ port: number; close: () => void }> {
  const server = createServer((request, response) => {
    const machine = connect(port, '127.0.0.1');
    const end = () => void request.socket.destroy();
    machine.on('error', end).on('close', end);
    machine.on('connect', () =>
      setTimeout(() => {
        machine.off('close', end);
        if (!machine.destroyed) response.end(name);
        machine.destroy();
      }, service),
    );
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
}

async function loadWhile(port: number, during: () => Promise<void>): Promise<Load> {
  const load: Load = { succeeded: 0, failed: [], answered: new Set() };
  let isOver = false;
  const client = async () => {
    while (!isOver) {
      const answer = await request(port);
      if ('failed' in answer) load.failed.push(answer.failed);
      else {
        load.succeeded += 1;
        load.answered.add(answer.name);
      }
      await sleep(100);
    }
  };
  const clients = Promise.all([client(), client(), client(), client()]);
  try {
    await during();
  } finally {
    isOver = true;
    await clients;
  }
  return load;
}

/** Sends a request on a connection of its own. */
function request(port: number): Promise<{ name: string } | { failed: string }> {
  return new Promise((resolve) => {
    get({ host: '127.0.0.1', port, agent: false, timeout: 15_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => void (body += text));
      response.on('error', ({ message }) => resolve({ failed: message }));
      response.on('end', () =>
        resolve(response.statusCode === 200 ? { name: body } : { failed: `status ${response.statusCode}` }),
      );
    })
      .on('timeout', function (this: ReturnType<typeof get>) {
        this.destroy(new Error('no answer'));
      })
      .on('error', ({ message }) => resolve({ failed: message }));
  });
}
