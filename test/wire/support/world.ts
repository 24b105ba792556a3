import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';

const mark = 'IMMUTAFS_WIRE_WORLD';

/**
 * Runs the rest of the calling test file in namespaces of its own: mounts, network (only the loopback), host name
 * and processes, all of which end with it. There, /run, /var/log and a layer over /etc are this file's alone, so
 * the agent and the servers run with the very paths and ports that they have in earnest.
 * @param file import.meta.filename of the test file
 * @param limitSeconds after which it is ended
 */
export function enterWorld(file: string, limitSeconds = 300): void {
  if (process.env[mark] === undefined) {
    const namespaces = [
      '--mount',
      '--propagation',
      'private',
      '--net',
      '--uts',
      '--pid',
      '--fork',
      '--mount-proc',
    ];
    const { status } = spawnSync('unshare', [...namespaces, '--kill-child', process.execPath, file], {
      stdio: 'inherit',
      env: { ...process.env, [mark]: '1' },
    });
    process.exit(status ?? 1);
  }
  setTimeout(() => {
    process.stderr.write(`${file}: not done after ${limitSeconds} s\n`);
    process.exit(1);
  }, limitSeconds * 1000).unref();
  mount('tmpfs', '/run', 'size=12g');
  mount('tmpfs', '/var/log', 'size=12g');
  fs.mkdirSync('/run/etc/upper', { recursive: true });
  fs.mkdirSync('/run/etc/work');
  mount('overlay', '/etc', 'lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work');
  execFileSync('hostname', ['guest1']);
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  fs.mkdirSync('/etc/immutafs', { recursive: true });
  fs.mkdirSync('/run/immutafs');
}

function mount(type: string, target: string, options: string): void {
  execFileSync('mount', ['-t', type, '-o', options, 'wire', target]);
}
