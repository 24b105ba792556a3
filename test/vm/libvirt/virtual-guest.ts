import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { kernelArguments } from '../harness/arguments.ts';
import { copyDisks, editDisks, imagesIn } from '../harness/disk.ts';
import type { Edit } from '../harness/disk.ts';
import type { Layout } from '../harness/layout.ts';
import { labelFiles } from '../harness/mounts.ts';
import type { Template } from '../harness/template.ts';
import { until } from '../../wire/support/until.ts';
import { type DomainOptions, asQcow2, defineDomain, freePort, makeLoader } from './domain.ts';
import type { Hypervisor } from './hypervisor.ts';

/** A guest of libvirt that can be reached by ssh. */
export interface VirtualGuest {
  name: string;
  port: number;
  /** The private key for root's account in the guest. */
  key: string;
  folder: string;
  /** Runs lines of sh as root; does not throw if they fail. */
  ssh: (text: string) => Promise<Said>;
}

/** Those of the domain have defaults; see `DomainOptions`. */
export interface VirtualGuestOptions extends Pick<
  Partial<DomainOptions>,
  'memoryMiB' | 'emulator' | 'targets' | 'systemFormat' | 'homeFormat' | 'devices' | 'balloon' | 'reachesHost'
> {
  name: string;
  template: Template;
  edit?: Edit;
}

/** Makes a guest's disks and defines its domain, without starting the domain. */
export async function defineGuest(
  host: Hypervisor,
  { name, template, edit, memoryMiB = 1024, ...rest }: VirtualGuestOptions,
): Promise<VirtualGuest> {
  const folder = join(host.folder, name);
  await mkdir(folder);
  const key = join(folder, 'key');
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  const disks = await copyDisks(template.disks, folder);
  // A guest without a separate disk for /home gets an empty second disk.
  if (template.layout.home === null) await execa('truncate', ['--size', '512M', imagesIn(folder).home]);
  await editDisks(disks, async (root, mounts) => {
    await makeReachable(root, `${key}.pub`);
    await makeBootable(root, template.layout);
    await edit?.(root, mounts);
    // With SELinux in enforcing mode, sshd may not read files without labels.
    await labelFiles(mounts, '/');
  });
  if (rest.systemFormat === 'qcow2') await asQcow2(folder);
  if (rest.homeFormat === 'qcow2') await asQcow2(folder, 'home');
  const port = await freePort();
  await defineDomain(host, { name, folder, loader: await makeLoader(folder), port, memoryMiB, ...rest });
  return atPort({ name, key, folder }, port);
}

/** Returns a guest whose sshd is reached at a port of this machine. */
export function atPort(guest: Pick<VirtualGuest, 'name' | 'key' | 'folder'>, port: number): VirtualGuest {
  return { ...guest, port, ssh: (text) => ssh(guest.key, port, text) };
}

/** Waits until root can log in by ssh. @throws after the time limit */
export async function untilUp(guest: VirtualGuest, seconds = 180): Promise<void> {
  const up = async (): Promise<boolean> => (await guest.ssh('true')).exit === 0;
  await until(`ssh to ${guest.name}`, up, seconds);
}

async function makeReachable(root: string, publicKey: string): Promise<void> {
  const at = (path: string): string => join(root, path);
  await rm(at('etc/systemd/system/multi-user.target.wants/vmtest.service'));
  await mkdir(at('root/.ssh'), { recursive: true, mode: 0o700 });
  await execa('cp', [publicKey, at('root/.ssh/authorized_keys')]);
  await chmod(at('root/.ssh/authorized_keys'), 0o600);
  const network = '[Match]\nDriver=virtio_net\n[Network]\nAddress=10.0.2.15/24\nLinkLocalAddressing=no\n';
  await writeFile(at('etc/systemd/network/10-test.network'), network);
  await execa('systemctl', ['--quiet', `--root=${root}`, 'enable', 'systemd-networkd.service']);
  await rm(at('etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service'), {
    force: true,
  });
}

/** Writes the configuration that GRUB reads, with the kernel arguments of the layout. */
async function makeBootable(root: string, layout: Layout): Promise<void> {
  const names = await readdir(join(root, 'boot'));
  const [kernel, initramfs] = ['vmlinuz-', 'init'].map((start) =>
    names.find((name) => name.startsWith(start)),
  );
  const lines = [`linux /${kernel} ${kernelArguments(layout).join(' ')}`, `initrd /${initramfs}`];
  await writeFile(join(root, 'boot/immutafs.cfg'), `${lines.join('\n')}\n`);
}

/** The result of a command in a guest. The exit code is 255 if there was no connection. */
export interface Said {
  exit: number;
  stdout: string;
  stderr: string;
}

async function ssh(key: string, port: number, text: string): Promise<Said> {
  const to = sshArguments({ key, port }, text);
  const { exitCode = 255, stdout, stderr } = await execa('ssh', to, { stdin: 'ignore', reject: false });
  return { exit: exitCode, stdout, stderr };
}

/** Returns the arguments with which ssh(1) runs lines of sh as root in a guest. */
export function sshArguments({ key, port }: Pick<VirtualGuest, 'key' | 'port'>, text: string): string[] {
  const settings = { StrictHostKeyChecking: 'no', UserKnownHostsFile: '/dev/null', ConnectTimeout: '5' };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  return ['-q', ...options, '-i', key, '-p', String(port), 'root@127.0.0.1', text];
}
