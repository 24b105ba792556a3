import { chmod, copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { execa } from 'execa';
import { until } from '../../wire/support/until.ts';
import { ordinaryTree } from '../harness/ordinary-tree.ts';
import { defineDomain, freePort } from './domain.ts';
import { type Hypervisor, setReadOnly } from './hypervisor.ts';
import { makeDisks } from './images.ts';

/** A domain in which nothing but Linux, busybox and a real QEMU guest agent runs; it starts in seconds. */
export interface AgentDomain {
  name: string;
  /** Runs a command of the guest agent. @returns its result @throws if it fails */
  agent: (command: string, args: Record<string, unknown>) => Promise<unknown>;
  /** Replaces the report of immutafs-agent in the guest. */
  writeReport: (text: string) => Promise<void>;
  /** Runs a shell command in the guest, without waiting for its end. */
  run: (script: string) => Promise<void>;
}

const report = '/run/immutafs/report.json';
/** An argument of a program has at most 128 KiB. */
const chunkBytes = 65_536;
/** The devices of a domain with a guest agent. */
export const agentChannel =
  "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel><controller type='virtio-serial'/>";

/**
 * Defines and starts the domain, and waits until its agent answers. Its system disk is read-only. Only with a second disk in
 * a qcow2 file, Linux has a driver for the disks.
 */
export async function startAgentDomain(
  host: Hypervisor,
  name: string,
  homeFormat: 'raw' | 'qcow2' = 'raw',
): Promise<AgentDomain> {
  const folder = join(host.folder, name);
  await makeDisks(folder, { homeFormat });
  const tree = await ordinaryTree();
  const drivers = homeFormat === 'qcow2' ? ['virtio_blk'] : [];
  const initramfs = await makeInitramfs(folder, join(tree, 'root'), drivers);
  await defineDomain(host, {
    ...{
      name,
      folder,
      loader: join(tree, 'vmlinux'),
      port: await freePort(),
      memoryMiB: 192,
      devices: agentChannel,
      homeFormat,
    },
    firmware: `<initrd>${initramfs}</initrd><cmdline>console=ttyS0 quiet</cmdline>`,
  });
  await setReadOnly(host, name, true);
  await host.virsh('start', name);
  const { agent, run } = agentOf(host, name);
  await until(
    `the agent of ${name} answers`,
    () =>
      agent('guest-ping', {}).then(
        () => true,
        () => false,
      ),
    120,
  );
  const writeReport = async (text: string) => {
    const handle = await agent('guest-file-open', { path: report, mode: 'w' });
    const bytes = Buffer.from(text);
    for (let start = 0; start < bytes.length; start += chunkBytes) {
      const chunk = bytes.subarray(start, start + chunkBytes);
      await agent('guest-file-write', { handle, 'buf-b64': chunk.toString('base64') });
    }
    await agent('guest-file-close', { handle });
  };
  return { name, agent, writeReport, run };
}

/** Returns the functions of a running domain that need its guest agent. */
export function agentOf({ virsh }: Hypervisor, name: string): Pick<AgentDomain, 'agent' | 'run'> {
  const agent: AgentDomain['agent'] = async (command, args) => {
    const request = JSON.stringify({ execute: command, arguments: args });
    const answer = await virsh('qemu-agent-command', name, '--timeout', '5', request);
    return (JSON.parse(answer) as { return: unknown }).return;
  };
  const run = async (script: string) => {
    await agent('guest-exec', { path: '/bin/busybox', arg: ['sh', '-c', script] });
  };
  return { agent, run };
}

/** Builds an initramfs with busybox, the guest agent, its libraries and the modules of its channel. */
async function makeInitramfs(folder: string, tree: string, drivers: readonly string[]): Promise<string> {
  const root = join(folder, 'initramfs.d');
  for (const each of ['bin', 'dev', 'proc', 'sys', 'modules', 'run/immutafs', 'tmp', 'var/run'])
    await mkdir(join(root, each), { recursive: true });
  await copyFile('/bin/busybox', join(root, 'bin/busybox'));
  const agent = '/usr/sbin/qemu-ga';
  const { stdout: libraries } = await execa('ldd', [agent]);
  const paths = [agent, ...[...libraries.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path)];
  for (const path of paths) {
    await mkdir(join(root, dirname(path)), { recursive: true });
    await copyFile(path, join(root, path));
  }
  const modules = await modulesOf(tree, ['virtio_pci', 'virtio_console', ...drivers]);
  for (const module of modules) await copyFile(module, join(root, 'modules', basename(module)));
  const insert = modules.map((module) => `/bin/busybox insmod /modules/${basename(module)}`).join('\n');
  const init = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
${insert}
until [ -e /dev/vport0p1 ] || [ -e /dev/vport1p1 ]; do /bin/busybox usleep 100000; done
/usr/sbin/qemu-ga --method virtio-serial --path /dev/vport*p1 --statedir /tmp --pidfile /tmp/pid
while :; do /bin/busybox sleep 1000; done
`;
  await writeFile(join(root, 'init'), init);
  await chmod(join(root, 'init'), 0o755);
  const image = join(folder, 'initramfs');
  const { stdout: names } = await execa('find', ['.'], { cwd: root });
  const options = { cwd: root, input: names, encoding: 'buffer' } as const;
  const { stdout } = await execa('cpio', ['-o', '-H', 'newc', '--quiet'], options);
  await writeFile(image, stdout);
  return image;
}

/** Returns the files of modules of a tree in the order in which they are loaded. */
async function modulesOf(tree: string, names: readonly string[]): Promise<string[]> {
  const [version = ''] = await readdir(join(tree, 'usr/lib/modules'));
  const files = new Set<string>();
  for (const name of names) {
    const args = ['--dirname', tree, '--set-version', version, '--show-depends', name];
    const { stdout } = await execa('/usr/sbin/modprobe', args);
    for (const [, file = ''] of stdout.matchAll(/^insmod (\S+)/gm)) files.add(file);
  }
  return [...files];
}
