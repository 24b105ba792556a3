import { spawn } from 'node:child_process';
import { copyFile, appendFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { inRoot } from '../../packaging/build/paths.ts';
import { linkCollection } from '../harness/collection.ts';
import { whileTemporaryDirectory } from '../harness/temporary.ts';
import type { Result } from './run.ts';
import { leastFigure, starts } from './starts.ts';
import type { Start, Variant } from './starts.ts';

/**
 * Compares the sealed boot of a guest that its host certifies with the same boot without IDENTITY, and measures the time from the
 * end of the check at boot to the certificate. The host speaks the protocol and signs, but examines nothing.
 */
export async function certificate(): Promise<Result> {
  const agent: Variant = { name: 'agent', disk: 'readonly', agent: true };
  const control = await starts(agent);
  const measured = await whileTemporaryDirectory(async (folder) => {
    linkCollection(folder);
    const end = await startHost(folder);
    try {
      return await starts({
        ...{ ...agent, name: 'agent, certified', extra },
        edit: async (root) => {
          await copyFile(join(folder, 'ca.pem'), join(root, authority));
          await appendFile(
            join(root, 'etc/immutafs/immutafs.conf'),
            `IDENTITY=host\nIDENTITY_CA=/${authority}\n`,
          );
        },
        ...{ ports: { 'org.immutafs.identity': join(folder, 'port') }, uuid },
      });
    } finally {
      end();
    }
  });
  return {
    about:
      'virtual seconds from the start of the kernel, or from the end of the check at boot; the least of a few boots.',
    control: 'without it',
    figures: [
      ...metrics.map(({ of, name, unit, atMost }) => leastFigure(name, unit, of, measured, control, atMost)),
      {
        name: 'from the check to the certificate',
        unit: 's',
        value: Math.min(...measured.map((start) => start.extra)),
        aim: { of: 'value', atMost: 2 },
      },
    ],
  };
}

const metrics: { of: keyof Start; name: string; unit: 's' | ''; atMost: number }[] = [
  { of: 'multiUser', name: 'to multi-user.target', unit: 's', atMost: 0.02 },
  { of: 'multiUserForks', name: 'processes by then', unit: '', atMost: 0 },
];

const authority = 'etc/immutafs/identity-ca.pem';
const uuid = '0b6c71de-0000-4000-8000-000000000001';

/** Waits for the certificate, and prints the time from the end of the check. */
const extra = `until [ -e /run/immutafs/identity/cert.pem ]; do sleep 0.2; done; sleep 0.5
set -- $(systemctl show --value -p ExecMainExitTimestampMonotonic immutafs-check.service immutafs-identity.service)
echo $(($2 - $1))`;

/** The certificates begin when the clock of guests with counted time does (`harness/qemu.ts`). */
const forgery = `
now = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc).timestamp()
root = authority(root_key, "root", begin=now - 1000)
chain, anchors = [authority(host_key, "kvm1", issuer=root, issuer_key=root_key, begin=now - 1000)], [root]
`;

/** Starts a host, which answers each guest whose port is FOLDER/port. @returns a function that ends it */
async function startHost(folder: string): Promise<() => void> {
  const args = ['-B', inRoot('test/harness/identity-host.py'), folder, forgery];
  const child = spawn('/usr/bin/python3', args, {
    env: { PYTHONPATH: folder },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  let socket: net.Socket | undefined;
  let ended = false;
  child.stdout.on('data', (data: Buffer) => socket?.write(data));
  const connect = () => {
    if (ended) return;
    socket = net.connect(join(folder, 'port'));
    socket.on('data', (data: Buffer) => child.stdin.write(data));
    socket.on('error', () => undefined);
    socket.on('close', () => setTimeout(connect, 100));
  };
  connect();
  return () => {
    ended = true;
    socket?.destroy();
    child.kill();
  };
}
