import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { errorMessage } from '../../../agent/lib/errors.ts';
import { until } from '../../wire/support/until.ts';
import { withRunFolder } from '../harness/run-folder.ts';

/** A real libvirt with private folders. virsh and virt-xml connect to `uri`. */
export interface Hypervisor {
  uri: string;
  /** The folder with the files of libvirt and its domains. `withHypervisor` removes it. */
  folder: string;
  /** Runs /usr/bin/virsh. @throws if it fails */
  virsh: (...args: string[]) => Promise<string>;
  /** Ends libvirtd, calls `meanwhile`, and starts libvirtd again. The domains continue. */
  restart: (meanwhile?: () => Promise<unknown>) => Promise<void>;
}

/**
 * Folders that libvirt's configuration cannot change. In a mount namespace, a folder of the test is mounted on each of
 * them.
 */
const folders = ['/etc/libvirt', '/var/lib/libvirt', '/var/cache/libvirt', '/var/log/libvirt'];

/**
 * QEMU runs as root, because root owns the guests' disks, and without features that are not available in a container.
 */
const qemuConf = `user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
${displayPorts()}`;

/**
 * Returns a range of VNC ports for the guests of this process. A port that libvirt has found to be free would otherwise
 * sometimes be taken by the guest of another libvirtd before QEMU uses it.
 */
function displayPorts(): string {
  const first = 5900 + (process.pid % 900) * 16;
  return `remote_display_port_min = ${first}\nremote_display_port_max = ${first + 15}\n`;
}

/**
 * Process 1 of a PID namespace is sh. It reaps QEMU's daemons, and the kernel kills all processes of the namespace when
 * sh ends. If libvirtd ends while the file `restart` exists, it renames the file to `stopped`, and starts libvirtd again when that
 * is removed.
 */
const init = `set -eu
for folder in ${folders.join(' ')}; do mount --bind "$1$folder" "$folder"; done
mount -t tmpfs run /run
while :; do
  /usr/sbin/libvirtd --config /etc/libvirt/libvirtd.conf --pid-file "$1/libvirtd.pid" &
  wait $! || :
  [ -e "$1/restart" ] || break
  mv "$1/restart" "$1/stopped"
  while [ -e "$1/stopped" ]; do sleep 0.2; done
done
`;

/** Returns the process ID of the libvirtd whose files are in a folder. */
export async function libvirtdOf({ folder }: Pick<Hypervisor, 'folder'>): Promise<string> {
  const { stdout } = await execa('pgrep', ['--full', `^/usr/sbin/libvirtd .*${folder}/libvirtd.pid`]);
  return stdout.split('\n')[0] ?? '';
}

/** Calls `work` with a libvirtd for this test only. */
export function withHypervisor<T>(work: (host: Hypervisor) => Promise<T>): Promise<T> {
  return withRunFolder((folder) => withHypervisorIn(folder, work));
}

/**
 * Calls `work` with a libvirtd whose files are in an empty folder. libvirtd and its guests end when this process ends for
 * any reason, because setpriv(1) makes the kernel kill unshare(1) and with it the PID namespace.
 */
export async function withHypervisorIn<T>(
  folder: string,
  work: (host: Hypervisor) => Promise<T>,
): Promise<T> {
  await configure(folder);
  const ended = ['setpriv', '--pdeathsig', 'KILL', '--', 'unshare', '--mount', '--propagation', 'private'];
  const own = [
    '--pid',
    '--fork',
    '--kill-child=SIGKILL',
    '--mount-proc',
    '--',
    'sh',
    '-c',
    init,
    'sh',
    folder,
  ];
  const [command = '', ...args] = [...ended, ...own];
  const daemon = execa(command, args, { all: true, reject: false, stdin: 'ignore' });
  const socket = join(folder, 'sock/libvirt-sock');
  const uri = `qemu+unix:///system?socket=${socket}`;
  try {
    await Promise.race([until('libvirtd answers', () => existsSync(socket), 60), failWhenEnded(daemon)]);
    const virsh = (...more: string[]) => run('/usr/bin/virsh', '--connect', uri, ...more);
    await virsh('version');
    const restart: Hypervisor['restart'] = async (meanwhile) => {
      const stopped = join(folder, 'stopped');
      await writeFile(join(folder, 'restart'), '');
      await execa('kill', [await libvirtdOf({ folder })]);
      await until('libvirtd has ended', () => existsSync(stopped), 60);
      try {
        await meanwhile?.();
      } finally {
        await rm(stopped);
      }
      const answers = () =>
        virsh('version').then(
          () => true,
          () => false,
        );
      await until('libvirtd answers again', answers, 60);
    };
    return await work({ uri, folder, virsh, restart });
  } catch (error) {
    throw await withQemuAbort(folder, error);
  } finally {
    daemon.kill('SIGKILL');
    await daemon;
  }
}

/**
 * Returns an error that names QEMU instead of the guest if QEMU aborted, which QEMU 10 sometimes does
 * ("iotlb_to_section: Assertion").
 */
export async function withQemuAbort(folder: string, error: unknown): Promise<unknown> {
  const logs = join(folder, 'var/log/libvirt/qemu/*.log');
  const { stdout } = await execa('sh', ['-c', `grep -h 'Assertion .* failed' ${logs}`], { reject: false });
  return stdout === '' ? error : new Error(`QEMU aborted: ${stdout}`, { cause: error });
}

async function configure(folder: string): Promise<void> {
  for (const each of [...folders, '/sock']) await mkdir(join(folder, each), { recursive: true });
  const sockets = `unix_sock_dir = "${folder}/sock"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n`;
  await writeFile(join(folder, 'etc/libvirt/qemu.conf'), qemuConf);
  // Two of them on this machine are different hosts for each other.
  const identity = `host_uuid = "${randomUUID()}"\n`;
  await writeFile(
    join(folder, 'etc/libvirt/libvirtd.conf'),
    `${sockets}${identity}log_outputs = "3:stderr"\n`,
  );
}

/** Returns the error of a command that must be refused. @throws if the command succeeds */
export async function refusalOf(command: Promise<unknown>): Promise<string> {
  const error = await command.then(
    () => undefined,
    (thrown: unknown) => errorMessage(thrown),
  );
  if (error === undefined) throw new Error('the command was not refused');
  return error;
}

/** Defines a domain, or changes how it starts next. @param options of `virsh define` */
export async function defineXml(
  { folder, virsh }: Hypervisor,
  xml: string,
  ...options: string[]
): Promise<void> {
  const file = join(folder, `${randomUUID()}.xml`);
  await writeFile(file, xml);
  await virsh('define', '--file', file, ...options);
}

/** Changes the XML of the next start of a domain. */
export async function redefine(
  host: Hypervisor,
  name: string,
  change: (xml: string) => string,
): Promise<void> {
  await defineXml(host, change(await host.virsh('dumpxml', '--security-info', '--inactive', name)));
}

/** Adds <readonly/> to the system disk in the XML of the next start, or removes it. */
export function setReadOnly(host: Hypervisor, name: string, on: boolean): Promise<void> {
  return redefine(host, name, (xml) => {
    const text = xml.replace(/ *<readonly\/>\n/, '');
    return on ? text.replace(/(<target dev='vda')/, '<readonly/>$1') : text;
  });
}

async function failWhenEnded(daemon: PromiseLike<{ all: string }>): Promise<never> {
  const { all } = await daemon;
  throw new Error(`libvirtd ended: ${all}`);
}

async function run(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await execa(command, args, { stdin: 'ignore' });
  return stdout;
}
