import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { dist, installedRuntime, runtime } from '../../../packaging/build/paths.ts';
import { buildRuntime } from '../../../packaging/build/runtime.ts';
import { buildProgram } from '../../../packaging/build/small-programs.ts';
import { mountRepository } from '../../harness/repository.ts';

const mark = 'IMMUTAFS_WIRE_NAMESPACES';

/**
 * Runs the rest of the calling test file in separate mount, network (loopback only), UTS and PID namespaces, which end
 * with the file. /run, /var/log and an overlay on /etc are private to the file, so that the agent and the servers can
 * use their real paths and ports. read-journal is installed.
 * @param file import.meta.filename of the test file
 * @param limitSeconds the timeout for the file
 * @param withReadJournal false if read-journal is not installed, so that journalctl reads the journal
 */
export async function enterNamespaces(
  file: string,
  { limitSeconds = 300, withReadJournal = true } = {},
): Promise<void> {
  if (process.env[mark] === undefined) {
    const namespaces = ['--mount', '--propagation', 'private', '--net', '--uts', '--pid', '--mount-proc'];
    const command = ['--fork', '--kill-child', process.execPath, file];
    const { status } = spawnSync('unshare', [...namespaces, ...command], {
      stdio: 'inherit',
      env: { ...process.env, [mark]: '1' },
    });
    process.exit(status ?? 1);
  }
  setTimeout(() => {
    process.stderr.write(`${file}: not complete after ${limitSeconds} s\n`);
    process.exit(1);
  }, limitSeconds * 1000).unref();
  mount('tmpfs', '/run', 'size=12g');
  mount('tmpfs', '/var/log', 'size=12g');
  fs.mkdirSync('/run/etc/upper', { recursive: true });
  fs.mkdirSync('/run/etc/work');
  mount('overlay', '/etc', 'lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work');
  execFileSync('sh', ['-ec', mountRepository]);
  execFileSync('hostname', ['guest1']);
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  fs.mkdirSync('/etc/immutafs', { recursive: true });
  fs.mkdirSync('/run/immutafs');
  if (withReadJournal) await installReadJournal();
}

/** Adds read-journal and the private runtime to the system, which is not changed outside the namespace. */
async function installReadJournal(): Promise<void> {
  await buildRuntime();
  await buildProgram('read-journal');
  for (const [directory, name] of [
    ['/usr/libexec', 'immutafs'],
    ['/usr/lib64', 'immutafs-agent'],
  ] as const) {
    const layers = `/run/wire/${name}`;
    for (const each of ['upper', 'work']) fs.mkdirSync(`${layers}/${each}`, { recursive: true });
    mount('overlay', directory, `lowerdir=${directory},upperdir=${layers}/upper,workdir=${layers}/work`);
  }
  fs.mkdirSync('/usr/libexec/immutafs', { recursive: true });
  fs.copyFileSync(`${dist}/read-journal`, '/usr/libexec/immutafs/read-journal');
  fs.mkdirSync(installedRuntime, { recursive: true });
  execFileSync('mount', ['--bind', runtime, installedRuntime]);
}

function mount(type: string, target: string, options: string): void {
  execFileSync('mount', ['-t', type, '-o', options, 'wire', target]);
}
