import fs from 'node:fs';
import { errorCode } from '../../../agent/lib/errors.ts';
import { type Program, listening, start } from '../../wire/support/program.ts';
import { clearRemote, remoteDirectory, startRemote, storedField } from '../../wire/support/remote.ts';

/** A real server, which all senders of its protocol use. */
export interface Receiver {
  name: 'RELP' | 'TCP' | 'upload';
  start: () => Promise<Program>;
  size: () => number;
  /** Returns the number of the last stored entry; -1 if no entry is stored. */
  last: () => number;
  numbers: () => Iterable<number>;
  clear: () => void;
}

const stored = '/var/log/stored';
/** How much of the end of the file is read to find the last complete line. */
const tailBytes = 8192;

/** One program for RELP and TCP. It writes in a separate thread, so that the disk does not delay receiving. */
const configuration = `global(maxMessageSize="8k")
module(load="imrelp")
input(type="imrelp" port="2514" ruleset="guests")
module(load="imtcp")
input(type="imtcp" port="601" ruleset="guests")
template(name="line" type="string" string="%rawmsg%\\n")
ruleset(name="guests" queue.type="LinkedList" queue.size="100000") {
  action(type="omfile" file="${stored}" template="line")
}
`;

export const receivers: Record<Receiver['name'], Receiver> = {
  RELP: rsyslog('RELP', 2514),
  TCP: rsyslog('TCP', 601),
  upload: {
    name: 'upload',
    start: () => startRemote('http'),
    size: storedInJournals,
    last: () => storedInJournals() - 1,
    numbers: () => storedField('MESSAGE').map(numberOf),
    clear: clearRemote,
  },
};

function rsyslog(name: Receiver['name'], port: number): Receiver {
  return {
    name,
    start: async () => {
      fs.writeFileSync('/run/receiver.conf', configuration);
      fs.rmSync('/run/receiver.pid', { force: true });
      const server = start('rsyslogd', ['-n', '-i', '/run/receiver.pid', '-f', '/run/receiver.conf']);
      await listening(port);
      return server;
    },
    size: () => fs.statSync(stored, { throwIfNoEntry: false })?.size ?? 0,
    last: lastLine,
    numbers: storedLines,
    clear: () => fs.rmSync(stored, { force: true }),
  };
}

function lastLine(): number {
  if (!fs.existsSync(stored)) return -1;
  const file = fs.openSync(stored, 'r');
  try {
    const { size } = fs.fstatSync(file);
    const tail = Buffer.alloc(Math.min(size, tailBytes));
    fs.readSync(file, tail, 0, tail.length, size - tail.length);
    return numberOf(tail.toString('latin1', 0, tail.lastIndexOf('\n')));
  } finally {
    fs.closeSync(file);
  }
}

function* storedLines(): Iterable<number> {
  const bytes = fs.readFileSync(stored);
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf('\n', at);
    if (end < 0) return;
    const number = numberOf(bytes.toString('latin1', at, end));
    if (number >= 0) yield number;
    at = end + 1;
  }
}

function numberOf(text: string): number {
  return Number(/ ([0-9]+)$/.exec(text)?.[1] ?? -1);
}

/** Returns the sum of n_entries of all files (systemd, journal-def.h: offset 152, little-endian). */
function storedInJournals(): number {
  if (!fs.existsSync(remoteDirectory)) return 0;
  let sum = 0;
  const count = Buffer.alloc(8);
  for (const name of fs.readdirSync(remoteDirectory)) {
    const file = openIfThere(`${remoteDirectory}/${name}`);
    // The file was archived under a different name in the meantime.
    if (file === undefined) return storedInJournals();
    if (fs.readSync(file, count, 0, 8, 152) === 8) sum += Number(count.readBigUInt64LE());
    fs.closeSync(file);
  }
  return sum;
}

function openIfThere(name: string): number | undefined {
  try {
    return fs.openSync(name, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
