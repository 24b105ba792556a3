import { spawn } from 'node:child_process';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Edit } from '../harness/disk.ts';
import { editFile } from '../harness/edit.ts';

/**
 * Returns an edit that configures FORWARD to a port of this machine, and auditd as the step `audit` of `prepare` does. The
 * guest must be defined with `reachesHost`.
 */
export function forwardingTo(port: number): Edit {
  return async (root, mounts) => {
    await appendFile(join(root, 'etc/immutafs/immutafs.conf'), `FORWARD=relp://10.0.2.2:${port}\n`);
    await editFile(join(root, 'etc/audit/auditd.conf'), (text) =>
      text.replace(/^log_group = .*$/m, 'log_group = immutafs-forward'),
    );
    await mounts.chroot('chgrp', '-R', 'immutafs-forward', '/var/log/audit');
  };
}

/** Starts rsyslog with RELP, which writes to the file `received` in a folder. @returns a function that ends it */
export async function startRelpServer(folder: string, port: number): Promise<() => void> {
  const file = join(folder, 'rsyslog.conf');
  const lines = [
    'module(load="imrelp")',
    `input(type="imrelp" port="${port}" maxDataSize="1m")`,
    `action(type="omfile" file="${join(folder, 'received')}")`,
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  const server = spawn('rsyslogd', ['-n', '-i', join(folder, 'rsyslog.pid'), '-f', file], {
    stdio: 'ignore',
  });
  return () => void server.kill('SIGKILL');
}
