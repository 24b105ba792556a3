import { spawn } from 'node:child_process';
import { appendFile, chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import type { Machine } from '../../harness/pages/run.ts';
import { until } from '../../wire/support/until.ts';
import { agentRpm } from '../harness/agent.ts';
import { repository } from '../harness/cache.ts';
import type { Edit } from '../harness/disk.ts';
import { editFile } from '../harness/edit.ts';
import { holdUntilEof } from '../harness/lock.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { VirtualGuest } from './virtual-guest.ts';

/** The machines on which the commands of the guide run. */

/** @returns a machine on which sh runs commands @param env the environment, and nothing else */
export function local(cwd: string, env: Record<string, string>): Machine {
  return async (command) => {
    const options = { cwd, env, extendEnv: false, stdin: 'ignore', all: true, reject: false } as const;
    const { exitCode = -1, all } = await execa('sh', ['-euc', command], options);
    return { exit: exitCode, output: all };
  };
}

export const systemPath = '/usr/sbin:/usr/bin:/sbin:/bin';

/** @returns the host: virsh and virt-xml use the libvirt of the test */
export function hostMachine(host: Hypervisor): Machine {
  return local(host.folder, { PATH: systemPath, LIBVIRT_DEFAULT_URI: host.uri, HOME: host.folder });
}

/**
 * @param ready a command that succeeds when the guest is ready
 * @returns the guest, to which commands are sent by ssh, each when the guest has booted
 */
export function guestMachine(guest: VirtualGuest, ready = 'true'): Machine {
  return async (command) => {
    const isReady = async () => (await guest.ssh(ready)).exit === 0;
    await until(`${guest.name}: ${ready}`, isReady, 900);
    const { exit, stdout, stderr } = await guest.ssh(command);
    // The guest may close the connection before the command has ended.
    if (command === 'systemctl poweroff') return { exit: 0, output: '' };
    return { exit, output: `${stdout}\n${stderr}` };
  };
}

/** @returns the source tree on a machine whose scp reaches the guest by its name */
export async function sourceMachine(folder: string, { name, port, key }: VirtualGuest): Promise<Machine> {
  const [programs, config] = [join(folder, 'programs'), join(folder, 'ssh-config')];
  const options = ['StrictHostKeyChecking no', 'UserKnownHostsFile /dev/null', `IdentityFile ${key}`];
  const lines = [`Host ${name}`, 'HostName 127.0.0.1', `Port ${port}`, ...options];
  await writeFile(config, `${lines.join('\n')}\n`);
  await mkdir(programs);
  await writeFile(join(programs, 'scp'), `#!/bin/sh\nexec /usr/bin/scp -F ${config} "$@"\n`);
  await chmod(join(programs, 'scp'), 0o755);
  const { PATH = '', HOME = folder } = process.env;
  return local(repository, { PATH: `${programs}:${PATH}`, HOME });
}

/** @returns a directory that has what the guide needs of the source tree, and in which a test can write */
export async function treeIn(folder: string): Promise<string> {
  const tree = join(folder, 'tree');
  await mkdir(join(tree, 'dist'), { recursive: true });
  await symlink(join(repository, 'ansible'), join(tree, 'ansible'));
  const rpm = await agentRpm();
  await symlink(rpm, join(tree, 'dist', basename(rpm)));
  return tree;
}

/**
 * Writes `inventory.yml` in a directory, and beside it what the controller must know about the machines of the test.
 *
 * @param text the inventory of a page, whose host is `kvm1` @param guests by their names in the inventory
 */
export async function writeInventory(
  tree: string,
  text: string,
  host: Hypervisor,
  guests: Record<string, VirtualGuest>,
): Promise<void> {
  await writeFile(join(tree, 'inventory.yml'), text);
  await mkdir(join(tree, 'host_vars'));
  const write = (name: string, variables: Record<string, unknown>) =>
    writeFile(join(tree, `host_vars/${name}.yml`), JSON.stringify(variables));
  await write('kvm1', { ansible_connection: 'local', ansible_python_interpreter: '/usr/bin/python3' });
  for (const [name, { port, key }] of Object.entries(guests)) {
    const at = { ansible_host: '127.0.0.1', ansible_port: port, ansible_ssh_private_key_file: key };
    await write(name, { immutafs_uri: host.uri, ...at });
  }
}

/** The log server has a name, auditd has the configuration of RHEL, and the loader of the test has the argument that `prepare` sets. */
export const asInGuide =
  (name: string): Edit =>
  async (root) => {
    await writeFile(join(root, 'etc/hostname'), `${name}\n`);
    await appendFile(join(root, 'etc/hosts'), '10.0.2.2 log.example.com\n');
    await editFile(join(root, 'etc/audit/auditd.conf'), (text) =>
      text.replace(/^log_group = .*$/m, 'log_group = root'),
    );
    await withPowerButton(root);
    // `prepare` cannot change this file, which only the loader of the test reads.
    await editFile(join(root, 'boot/immutafs.cfg'), (text) => text.replace(/^linux .*$/m, '$& noresume'));
  };

/**
 * Loads the drivers of the power button, so that `virsh shutdown` ends the guest. No event loads them in the tree, and when
 * systemd-modules-load(8) loaded them, systemd-logind did not see the button.
 */
export async function withPowerButton(root: string): Promise<void> {
  const unit =
    '[Service]\nType=oneshot\nExecStart=modprobe --all button evdev\n[Install]\nWantedBy=multi-user.target\n';
  await writeFile(join(root, 'etc/systemd/system/power-button.service'), unit);
  await execa('systemctl', ['--quiet', `--root=${root}`, 'enable', 'power-button.service']);
}

/** A log server with its own /etc and /var/log, which guests reach at 10.0.2.2. */
export interface LogMachine {
  machine: Machine;
  /** Starts rsyslogd, as its unit does. */
  start: () => Promise<void>;
}

const ownDirectories = `mount -t tmpfs log-server /mnt
mkdir /mnt/etc /mnt/work
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/etc,workdir=/mnt/work log-server /etc
mount -t tmpfs log-server /var/log`;

/** Calls `work` with a log server that ends with this process, even if it is killed. */
export async function withLogMachine<T>(work: (server: LogMachine) => Promise<T>): Promise<T> {
  const namespace = await holdUntilEof('unshare', ['--mount', '--propagation', 'private']);
  const enter = ['nsenter', `--mount=/proc/${namespace.pid}/ns/mnt`, '--'];
  const inside = (text: string) =>
    execa('env', [...enter, 'sh', '-euc', `cd "$1"\n${text}`, 'sh', repository], {
      all: true,
      reject: false,
      stdin: 'ignore',
    });
  let server: ReturnType<typeof spawn> | undefined;
  try {
    await inside(ownDirectories);
    return await work({
      machine: async (command) => {
        const { exitCode = -1, all } = await inside(command);
        return { exit: exitCode, output: all };
      },
      start: async () => {
        const program = ['rsyslogd', '-n', '-i', '/mnt/pid', '-f', '/etc/rsyslog.d/immutafs.conf'];
        server = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...enter, ...program], { stdio: 'ignore' });
        const listens = async () => (await execa('ss', ['-Hltn', 'sport = :2514'])).stdout !== '';
        await until('rsyslogd listens', listens);
      },
    });
  } finally {
    server?.kill('SIGKILL');
    await namespace.release();
  }
}
