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
