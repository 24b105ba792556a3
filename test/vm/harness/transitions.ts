import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Edit } from './disk.ts';
import type { Boot } from './guest.ts';
import { labelFiles } from './mounts.ts';

/** A module of the policy that lets the kernel record each transition of systemd to a domain of the package. */
const module = `(auditallow init_t immutafs_t (process (transition)))
(auditallow init_t immutafs_forward_t (process (transition)))
`;

/** Installs the module that records transitions. */
export const recordTransitions: Edit = async (root, mounts) => {
  const file = 'root/transitions.cil';
  await writeFile(join(root, file), module);
  await mounts.chroot('semodule', '-n', '-s', 'default', '-i', `/${file}`);
  await rm(join(root, file));
  await labelFiles(mounts, '/etc/selinux', '/var/lib/selinux');
};

/** Prints the transitions since power-on. */
export const transitionsStep =
  '{ dmesg; cat /var/log/audit/audit.log; } | grep "avc: *granted *{ transition }"';

/** Returns the programs that systemd has started in a domain of the package, with the domain: sorted, each once. */
export function transitionsOf(boot: Boot, step = 'transitions'): string[] {
  const lines = boot.step(step).stdout.split('\n');
  const found = lines.flatMap((line) => {
    const [, path, domain] = / path="([^"]+)".* tcontext=\w+:\w+:(\w+)/.exec(line) ?? [];
    return path === undefined || domain === undefined ? [] : [`${path} ${domain}`];
  });
  return [...new Set(found)].sort();
}
