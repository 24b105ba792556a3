import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { scratch } from '../../packaging/build/paths.ts';
import { run, type Outcome } from './support.ts';

/** Lines of sh that answer `systemctl --version`. */
export const versionOf = (version: number) =>
  `[ "$1" != --version ] || echo "systemd ${version} (${version}-1)"`;

/** A root with busybox, one kernel and its initramfs. The stubs for systemctl and dracut record their calls. */
export class ScratchRoot {
  readonly folder: string;

  constructor() {
    fs.mkdirSync(scratch, { recursive: true });
    this.folder = fs.mkdtempSync(path.join(scratch, 'root-'));
    for (const folder of ['bin', 'boot', 'dev', 'usr', 'lib/modules/6.1.0']) this.makeDirectory(folder);
    fs.copyFileSync('/bin/busybox', this.path('bin/busybox'));
    run('chroot', [this.folder, '/bin/busybox', '--install', '-s', '/bin']);
    run('mknod', [this.path('dev/null'), 'c', '1', '3']);
    this.write('lib/modules/6.1.0/modules.dep', '');
    this.write('boot/initramfs-6.1.0.img', 'old\n');
    this.stub('systemctl', versionOf(257));
    this.stub('dracut', 'echo new >"$2"');
  }

  path(inside: string): string {
    return path.join(this.folder, inside);
  }

  has(inside: string): boolean {
    return fs.existsSync(this.path(inside));
  }

  makeDirectory(inside: string): void {
    fs.mkdirSync(this.path(inside), { recursive: true });
  }

  write(inside: string, text: string): void {
    this.makeDirectory(path.dirname(inside));
    fs.writeFileSync(this.path(inside), text);
  }

  read(inside: string): string {
    return fs.readFileSync(this.path(inside), 'utf8');
  }

  list(inside: string): string[] {
    return fs.readdirSync(this.path(inside)).sort();
  }

  remove(inside: string): void {
    fs.rmSync(this.path(inside), { recursive: true });
  }

  /**
   * Makes a program that records its calls and then runs `then`, lines of sh. A stub with the name of a busybox applet
   * must be called by its path, because the sh of busybox does not search PATH for its applets.
   */
  stub(name: string, then = '', folder = 'bin'): void {
    const file = path.join(folder, name);
    fs.rmSync(this.path(file), { force: true });
    this.write(file, `#!/bin/sh\necho "${name} $*" >>/calls\n${then}\n`);
    fs.chmodSync(this.path(file), 0o755);
  }

  /** Returns the calls of the stubs since the last call of this method, without the queries of the version. */
  calls(): string[] {
    if (!this.has('calls')) return [];
    const lines = this.read('calls').trimEnd().split('\n');
    this.remove('calls');
    return lines.filter((line) => line !== 'systemctl --version');
  }

  /** Runs rpm in this root, without its sandbox, which requires a mount point as root. */
  rpm(args: readonly string[]): Outcome {
    return run('rpm', ['--root', this.folder, '--define', '__transaction_unshare %{nil}', ...args]);
  }
}

/** Returns a suite in which each test has a new root. @param prepare changes the root before the test */
export function rootSuite(title: string, prepare: (root: ScratchRoot) => void = () => undefined) {
  const tests = suite<{ root: ScratchRoot }>(title);
  tests.before.each((context) => {
    context.root = new ScratchRoot();
    prepare(context.root);
  });
  tests.after.each(({ root }) => root.remove(''));
  return tests;
}
