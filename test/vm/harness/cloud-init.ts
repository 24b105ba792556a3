import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { callPlugin } from '../../harness/collection.ts';
import { agentTree } from './agent.ts';
import { treeWithPackages } from './packages.ts';
import type { Drive } from './qemu.ts';
import { type Release, usualRelease } from './release.ts';
import { withRunFolder } from './run-folder.ts';

/**
 * Returns the agent's tree with Debian's cloud-init installed and enabled. It configures no network without ip(8), and sets
 * no SELinux labels without the library, on which RHEL's package depends.
 */
export async function cloudInitTree(release: Release = usualRelease): Promise<string> {
  const packages = ['cloud-init', 'iproute2', 'python3-selinux'];
  return treeWithPackages('cloud-init-tree', await agentTree(release), packages, '', release);
}

/**
 * Calls `work` with a disk that contains only user data for cloud-init (data source NoCloud).
 * @param userData the text of `user-data`
 */
export async function withUserData(userData: string, work: (drive: Drive) => Promise<void>): Promise<void> {
  await withRunFolder(async (folder) => {
    const file = await makeSeed(folder, 'cidata', {
      'meta-data': 'instance-id: another\n',
      'user-data': userData,
    });
    await work({ serial: 'cidata', file, format: 'raw', readOnly: false, bus: 'virtio-blk' });
  });
}

/** Makes the image of a seed: a CD with files, by their name. @returns the path of the image, in the folder */
export async function makeSeed(folder: string, name: string, files: Record<string, string>): Promise<string> {
  const [content, image] = [join(folder, name), join(folder, `${name}.iso`)];
  for (const [each, text] of Object.entries(files)) {
    await mkdir(dirname(join(content, each)), { recursive: true });
    await writeFile(join(content, each), text);
  }
  await execa('xorriso', [
    ...['-as', 'mkisofs', '-quiet', '-volid', 'cidata', '-joliet', '-rock', '-output', image, content],
  ]);
  return image;
}

/** An SSH host key that the host makes for a guest. */
export interface HostKey {
  secret: string;
  published: string;
  /** The line that `ssh-keygen -l` prints. */
  fingerprint: string;
}

/** Makes a host key. @param name the comment of the key, and the name of its file in the folder */
export async function makeHostKey(folder: string, name: string): Promise<HostKey> {
  const key = join(folder, name);
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', key]);
  return {
    secret: await readFile(key, 'utf8'),
    published: await readFile(`${key}.pub`, 'utf8'),
    fingerprint: (await execa('ssh-keygen', ['-lf', key])).stdout,
  };
}

/** What the seed of a guest contains besides its host name and its host key. */
interface SeedOptions {
  /** Whether the guest has cloud-init, which is the default. */
  cloudInit?: boolean;
  /** Keys of cloud-config. */
  userData?: Record<string, unknown>;
  networkConfig?: Record<string, unknown>;
}

/** Returns the files of a seed as the module `seed` of the Ansible collection writes them. */
export function seedFiles(
  name: string,
  { secret, published }: HostKey,
  { cloudInit = true, userData = {}, networkConfig = {} }: SeedOptions = {},
): Record<string, string> {
  const more = [cloudInit, userData, networkConfig, {}];
  return callPlugin('module_utils.seed', 'contents', name, [secret, published], ...more) as Record<
    string,
    string
  >;
}

/** The seed that root in a guest wrote to a data disk: if it is used, /run/forged exists. */
export const makeForgedSeed = (folder: string): Promise<string> =>
  makeSeed(folder, 'forged', {
    'meta-data': 'instance-id: forged\nlocal-hostname: forged\n',
    'user-data': '#cloud-config\nbootcmd:\n  - touch /run/forged\n',
  });
