import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { persistOnDataDisk } from './data-disk.ts';

export const label = 'system_u:object_r:var_lib_t:s0';

/** Two directories and a symbolic link, and units that require the first and the last of them early in the boot. */
export async function threePaths(root: string): Promise<void> {
  await persistOnDataDisk(root, '/var/lib/keys /opt/agent:exec,autostart /var/lib/link');
  const keys = join(root, 'var/lib/keys');
  await mkdir(join(keys, 'deep'), { recursive: true });
  await writeFile(join(keys, 'keytab'), 'disk\n', { mode: 0o600 });
  await execa('ln', [join(keys, 'keytab'), join(keys, 'deep/link')]);
  await execa('setfacl', ['-m', 'u:nobody:r', join(keys, 'deep')]);
  await mkdir(join(root, 'opt/agent'));
  await writeFile(join(root, 'opt/agent/run'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
  await symlink('keys', join(root, 'var/lib/link'));
  for (const [name, target] of [
    ['seen', '/var/lib/keys'],
    ['linked', '/var/lib/link'],
  ]) {
    const unit = join(root, `etc/systemd/system/${name}.service`);
    await writeFile(
      unit,
      `[Unit]\nDefaultDependencies=no\nRequiresMountsFor=${target}\n[Service]\nType=oneshot\nExecStart=/bin/cp ${target}/keytab /run/${name}\n`,
    );
    await mkdir(join(root, 'etc/systemd/system/sysinit.target.wants'), { recursive: true });
    await symlink(
      `../${name}.service`,
      join(root, `etc/systemd/system/sysinit.target.wants/${name}.service`),
    );
    await labelled(unit, 'system_u:object_r:systemd_unit_t:s0');
  }
  for (const each of [keys, join(root, 'opt/agent')]) await labelled(each, label, '-R');
}

/** Sets SELinux labels on this machine, whose kernel has no SELinux. */
async function labelled(file: string, context: string, ...options: string[]): Promise<void> {
  if (options.length > 0) {
    const { stdout } = await execa('find', [file, '!', '-type', 'l']);
    for (const each of stdout.split('\n')) await labelled(each, context);
    return;
  }
  await execa('setfattr', ['-n', 'security.selinux', '-v', context, file]);
}

/** Steps for a guest with `threePaths`. */
export const withPaths = {
  content: 'cat /var/lib/keys/keytab',
  mounts: 'findmnt -rn -o TARGET,SOURCE,OPTIONS | grep -E "^/(var/lib/keys|opt/agent|var/lib/link) " | sort',
  seen: 'cat /run/seen',
};
