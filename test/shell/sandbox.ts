import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { type DiskFixture, type StackFixture, makeSysfs } from '../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../harness/temporary.ts';
import { buildTestBootProgram, testBootProgram } from '../harness/boot-program.ts';
import { type Shell, dracut } from './shells.ts';

await buildTestBootProgram();

export interface Sandbox {
  /** The program that is /bin/sh. */
  shell: Shell;
  /** Files of the sandbox by path below /. Files below /proc are mounted over the real files. */
  files?: Record<string, string | { linkTo: string }>;
  /** The devices in /sys. */
  devices?: readonly (DiskFixture | StackFixture)[];
  /** Scripts in addition to those of dracut/. */
  scripts?: readonly string[];
  /** Lines of bash that run in the sandbox; the files that they leave in /out are the result. */
  run: string;
}

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
  /** Content of the files in /out by name. */
  out: Record<string, string>;
}

/** The files of dracut/, and immutafs-boot. */
const library = [...fs.globSync(`${dracut}/*`), testBootProgram];

/**
 * Sets up the sandbox and runs /run-in-sandbox there, with bash, whatever /bin/sh is. With few processes, because it
 * runs two thousand times. $1: the directory of runInSandbox; $2…: scripts
 */
const prepare = `
mount -t tmpfs -o mode=0755 sandbox "$1/root"
cp -R "$1/tree/." "$1/root"
mount -a -T "$1/fstab"
cd "$1/root"
shift
cp -R "$@" usr/libexec/immutafs
exec chroot . bash /run-in-sandbox`;

/**
 * Runs lines of bash as root in a sandbox: in a mount and PID namespace, after chroot(2) to a tmpfs with this machine's
 * programs, immutafs-boot and scripts at their installed path, and the fixtures in /proc and /sys. Mounts are real, and end with
 * the last process. Files that begin with "#!" are executable.
 */
export function runInSandbox({ shell, files = {}, devices = [], scripts = [], run }: Sandbox): Outcome {
  return inTemporaryDirectory((folder) => {
    const [tree, out, root] = ['tree', 'out', 'root'].map((name) => path.join(folder, name)) as [
      string,
      string,
      string,
    ];
    for (const name of [
      'dev',
      'etc',
      'out',
      'proc',
      'run',
      'sys',
      'tmp',
      'usr',
      'work/dev',
      'work/usr',
      'upper/dev',
    ])
      fs.mkdirSync(path.join(tree, name), { recursive: true });
    for (const each of [out, root]) fs.mkdirSync(each);
    makeSysfs(tree, devices);
    fs.renameSync(path.join(tree, 'usr'), path.join(tree, 'upper/usr'));
    fs.mkdirSync(path.join(tree, 'usr'));
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) fs.symlinkSync(`usr/${name}`, path.join(tree, name));
    const all = { 'proc/cmdline': 'ro quiet\n', ...files, 'usr/bin/sh': { linkTo: shell[0] } };
    const placed = Object.entries({ ...all, 'run-in-sandbox': run }).map(
      ([name, content]) =>
        [name.replace(/^(dev|usr)\//, 'upper/$1/').replace(/^proc\//, '../proc/'), content] as const,
    );
    writeFiles(tree, Object.fromEntries(placed));
    for (const [name, content] of placed)
      if (typeof content === 'string' && content.startsWith('#!')) fs.chmodSync(path.join(tree, name), 0o755);
    // /proc/self differs for each process. A fixture with a directory, such as proc/self, therefore replaces all of /proc.
    const proc = fs.readdirSync(path.join(folder, 'proc'), { withFileTypes: true });
    const names = proc.some((each) => each.isDirectory()) ? [''] : proc.map(({ name }) => `/${name}`);
    const overlay = (name: string) =>
      `lowerdir=/${name},upperdir=${root}/upper/${name},workdir=${root}/work/${name}`;
    // Overlays over the machine's programs and devices, so that what a test creates does not appear on the machine.
    const mounts = [
      ...['dev', 'usr'].map((name) => `sandbox ${root}/${name} overlay ${overlay(name)}`),
      `${out} ${root}/out none bind`,
      `proc ${root}/proc proc defaults`,
      ...names.map((name) => `${folder}/proc${name} ${root}/proc${name} none bind`),
    ];
    fs.writeFileSync(path.join(folder, 'fstab'), mounts.map((line) => `${line} 0 0\n`).join(''));
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private'];
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      [...namespaces, 'sh', '-euc', prepare, 'sh', folder, ...library, ...scripts],
      {
        encoding: 'latin1',
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
        timeout: 60_000,
      },
    );
    const read = (name: string) => fs.readFileSync(path.join(out, name), 'latin1');
    return {
      code: status,
      stdout,
      stderr,
      out: Object.fromEntries(fs.readdirSync(out).map((name) => [name, read(name)])),
    };
  });
}
