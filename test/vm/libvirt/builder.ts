import { appendFile, chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Edit } from '../harness/disk.ts';
import { emulatorEnvironment } from '../harness/qemu.ts';

/**
 * Writes a program that starts QEMU, and gives the builder, which has no network, a forwarded port for sshd.
 * @returns its path
 */
export async function emulatorFor(folder: string, builder: string, port: number): Promise<string> {
  const file = join(folder, 'emulator');
  const variables = Object.entries(emulatorEnvironment).map(([name, value]) => `export ${name}=${value}`);
  const network = `-netdev user,id=ssh,restrict=on,hostfwd=tcp:127.0.0.1:${port}-10.0.2.15:22`;
  const device = '-device virtio-net-pci,netdev=ssh,romfile=,addr=0x10';
  const lines = [
    ...['#!/bin/sh', ...variables],
    `case " $* " in *" guest=${builder},"*) set -- "$@" ${network} ${device} ;; esac`,
    'exec /usr/bin/qemu-system-x86_64 "$@"',
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  await chmod(file, 0o755);
  return file;
}

/**
 * Writes a program that starts QEMU, and that forwards a port to sshd of each guest with an interface of the type `user`, and to
 * that of the builder, as `emulatorFor`.
 * @param guests the addresses and ports of the guests, by the names of their domains @returns its path
 */
export async function emulatorWithPorts(
  folder: string,
  guests: Record<string, { address: string; port: number }>,
  builder: { name: string; port: number },
): Promise<string> {
  const [file, next] = [
    join(folder, 'guests-emulator'),
    await emulatorFor(folder, builder.name, builder.port),
  ];
  const cases = Object.entries(guests).map(([name, { address, port }]) => {
    const network = address.replace(/\d+$/, '0/24');
    const more = `"net":"${network}","hostfwd":[{"str":"tcp:127.0.0.1:${port}-${address}:22"}]`;
    return `*" guest=${name},"*) more='${more}' ;;`;
  });
  const lines = [
    ...['#!/bin/sh', 'more=', 'case " $* " in', ...cases, 'esac'],
    'for argument; do',
    '  shift',
    '  case $argument in *\'"type":"user"\'*) argument="${argument%?},$more}" ;; esac',
    '  set -- "$@" "$argument"',
    'done',
    `exec ${next} "$@"`,
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  await chmod(file, 0o755);
  return file;
}

/** sshd generates its host keys, as that of RHEL does; in a sealed guest, in memory. */
export const withHostKeys: Edit = async (root) => {
  const folder = join(root, 'etc/systemd/system/ssh.service.d');
  await mkdir(folder);
  await writeFile(
    join(folder, 'keys.conf'),
    '[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\n',
  );
  await appendFile(join(root, 'etc/immutafs/immutafs.conf'), 'OVERLAY=/etc/ssh:noexec\n');
};
