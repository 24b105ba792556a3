import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { agentTree } from '../vm/harness/agent.ts';
import { bootFilesIn } from '../vm/harness/kernel.ts';
import { ordinaryTree } from '../vm/harness/ordinary-tree.ts';
import type { Result } from './run.ts';

/** Measures what the dracut module adds to the uncompressed initramfs of the guest that the scenarios boot. */
export async function initramfs(): Promise<Result> {
  const before = await sizesIn(await ordinaryTree());
  const after = await sizesIn(await agentTree());
  const added = [...after].filter(([path, size]) => !before.has(path) && size > 0);
  const driver = added.filter(([path]) => basename(path) === 'overlay.ko');
  const ours = added.filter(([path]) => basename(path) !== 'overlay.ko');
  const named = ours.toSorted((a, b) => b[1] - a[1]).map(([path, size]) => `  ${kibi(size)} ${path}\n`);
  const control = sum([...before]);
  return {
    about: `files that the module brings, uncompressed\n${named.join('')}`.trimEnd(),
    control: 'without the agent',
    figures: [
      { name: 'files but overlay.ko', unit: 'KiB', value: sum(ours), aim: { of: 'value', atMost: 2048 } },
      { name: 'overlay.ko', unit: 'KiB', value: sum(driver) },
      { name: 'whole initramfs', unit: 'KiB', value: sum([...after]), control },
    ],
  };
}

async function sizesIn(tree: string): Promise<Map<string, number>> {
  const { initramfs: file } = await bootFilesIn(join(tree, 'root/boot'), join(tree, 'vmlinux'));
  const options = ['--list', '--verbose', '--quiet'];
  const list = execFileSync('cpio', options, { input: await readFile(file), encoding: 'latin1' });
  const lines = list.matchAll(/^[-l].{9} +\d+ +\S+ +\S+ +(\d+) .{12} (.*?)(?: -> .*)?$/gm);
  return new Map([...lines].map(([, bytes, name = '']) => [name, Number(bytes)]));
}

/** Returns the total size in KiB. */
function sum(files: [string, number][]): number {
  return files.reduce((total, [, size]) => total + size, 0) / 1024;
}

function kibi(size: number): string {
  return `${(size / 1024).toFixed(1)} KiB`.padStart(9);
}
