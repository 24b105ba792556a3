import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { scratch } from '../../packaging/build-paths.ts';
import { run, type Outcome } from './support.ts';

/** A root of busybox with one kernel, whose systemctl and dracut only write down what they were asked. */
export class ScratchRoot {
  readonly folder: string;

  constructor() {
    mkdirSync(scratch, { recursive: true });
    this.folder = mkdtempSync(path.join(scratch, 'root-'));
    for (const folder of ['bin', 'dev', 'usr', 'lib/modules/6.1.0']) this.makeFolder(folder);
    copyFileSync('/bin/busybox', this.path('bin/busybox'));
    run('chroot', [this.folder, '/bin/busybox', '--install', '-s', '/bin']);
    run('mknod', [this.path('dev/null'), 'c', '1', '3']);
    writeFileSync(this.path('lib/modules/6.1.0/modules.dep'), '');
    this.stub('systemctl');
    this.stub('dracut');
  }

  path(inside: string): string {
    return path.join(this.folder, inside);
  }

  has(inside: string): boolean {
    return existsSync(this.path(inside));
  }

  makeFolder(inside: string): void {
    mkdirSync(this.path(inside), { recursive: true });
  }

  remove(inside: string): void {
    rmSync(this.path(inside), { recursive: true });
  }

  /** A program that goes on with `then`, sh, after it has written down how it was called. */
  stub(name: string, then = ''): void {
    const file = this.path(`bin/${name}`);
    rmSync(file, { force: true });
    writeFileSync(file, `#!/bin/sh\necho "${name} $*" >>/asked\n${then}\n`);
    chmodSync(file, 0o755);
  }

  /** How the stubs were called since the last time. */
  asked(): string[] {
    if (!this.has('asked')) return [];
    const lines = readFileSync(this.path('asked'), 'utf8').trimEnd().split('\n');
    this.remove('asked');
    return lines;
  }

  /** rpm in this root, without its sandbox, which wants a mount point as root. */
  rpm(args: readonly string[]): Outcome {
    return run('rpm', ['--root', this.folder, '--define', '__transaction_unshare %{nil}', ...args]);
  }
}
