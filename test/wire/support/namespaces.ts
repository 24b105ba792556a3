import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';

const mark = 'IMMUTAFS_WIRE_NAMESPACES';

/**
 * Runs the rest of the calling test file in separate mount, network (loopback only), UTS and PID namespaces, which end
 * with the file. /run, /var/log and an overlay on /etc are private to the file, so that the agent and the servers can
 * use their real paths and ports.
 * @param file import.meta.filename of the test file
 * @param limitSeconds the timeout for the file
 */
export function enterNamespaces(file: string, limitSeconds = 300): void {
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
    process.stderr.write(`${file}: not complete after ${limitSeconds} s\n`);
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
