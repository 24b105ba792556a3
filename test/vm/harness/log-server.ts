import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { makeCertificatesIn } from '../../wire/support/certificates.ts';
import { type StoredMessage, parseMessage } from '../../wire/support/rsyslog.ts';
import { repository } from './cache.ts';
import { holdUntilEof } from './lock.ts';
import { withRunFolder } from './run-folder.ts';

/** rsyslog with the configuration of docs/log-server (RELP over TLS), on the host side of a guest's user-mode network. */
export interface LogServer {
  /** For `BootOptions.networkOf`; the server's address in the guest is 10.0.2.2, port 2514. */
  networkOf: number;
  /** The folder with ca.pem, guest.pem and guest.key. */
  guestCertificates: string;
  start: () => void;
  /** Returns the messages that the server has stored for a guest, in order. */
  stored: (host: string) => StoredMessage[];
  /** Returns the path of the copy of a guest's audit trail. */
  auditTrail: (host: string) => string;
}

/** What a server has received from a guest, for use when the server has ended. */
export interface Received extends Pick<LogServer, 'stored'> {
  /** The copy of the guest's audit trail; '' if there is none. */
  trail: string;
}

/** Returns what the server has received from the guest `guest` so far. */
export function receivedBy({ stored, auditTrail }: LogServer): Received {
  const [messages, file] = [stored('guest'), auditTrail('guest')];
  return { stored: () => messages, trail: existsSync(file) ? readFileSync(file, 'utf8') : '' };
}

const configuration = join(repository, 'docs/log-server/rsyslog-relp-tls.conf');

/** Redirects the paths of the configuration to a folder, in a private mount namespace. */
const run = `
set -eu
mount -t tmpfs log-server /mnt
mkdir /mnt/etc /mnt/work
cp -r "$1/server" /mnt/etc/log-server
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/etc,workdir=/mnt/work log-server /etc
mount -t tmpfs log-server /var/log
mkdir /var/log/guests
mount --bind "$1/guests" /var/log/guests
exec rsyslogd -n -i /mnt/pid -f "$2"
`;

/**
 * Starts rsyslog, which ends with this process, even if it is killed.
 * @param folder has the folders `server`, for /etc/log-server, and `guests`, for /var/log/guests
 * @param inside the command that enters the network of the server
 * @returns a function that kills it
 */
export function startLogServer(
  folder: string,
  file: string,
  inside: readonly string[] = [],
): () => Promise<void> {
  const alone = ['setpriv', '--pdeathsig', 'KILL', '--', 'unshare', '--mount', '--propagation', 'private'];
  const words = [...inside, ...alone, 'sh', '-c', run, 'log-server', folder, file];
  const server = execa('env', words, { stdin: 'ignore', reject: false });
  return async () => {
    server.kill('SIGKILL');
    await server;
  };
}

/** Calls `work` with a server that is not started yet. The server ends with this process, even if it is killed. */
export async function withLogServer<T>(work: (server: LogServer) => Promise<T>): Promise<T> {
  return withRunFolder(async (folder) => {
    const [guestCertificates, guests] = [join(folder, 'guest'), join(folder, 'guests')];
    makeCertificatesIn(join(folder, 'server'), guestCertificates);
    mkdirSync(guests);
    const network = await holdUntilEof('unshare', ['--net']);
    const inside = ['nsenter', `--net=/proc/${network.pid}/ns/net`, '--'];
    await execa('env', [...inside, 'ip', 'link', 'set', 'lo', 'up']);
    let end: (() => Promise<void>) | undefined;
    try {
      return await work({
        networkOf: network.pid,
        guestCertificates,
        start: () => void (end ??= startLogServer(folder, configuration, inside)),
        stored: (host) => storedIn(join(guests, host, 'journal.log')),
        auditTrail: (host) => join(guests, host, 'audit.log'),
      });
    } finally {
      await end?.();
      await network.release();
    }
  });
}

/** Returns the messages in a file of the server, in order. */
export function storedIn(file: string): StoredMessage[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'latin1').split('\n').slice(0, -1).map(parseMessage);
}
