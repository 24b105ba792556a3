import { execFileSync } from 'node:child_process';
import type { CpioFile } from '../../agent/prepare/steps/initramfs/image.ts';
import { inTemporaryDirectory, writeFiles } from './temporary.ts';

/** Makes an archive with cpio(1). */
export function realCpio(files: Record<string, string>): Buffer {
  return inTemporaryDirectory((folder) => {
    writeFiles(folder, files);
    const input = execFileSync('find', ['.', '-print0'], { cwd: folder });
    return execFileSync('cpio', ['--null', '--create', '--quiet', '--format=newc'], { cwd: folder, input });
  });
}

/** Maps the names of files to the contents that were kept. */
export function keptTexts(files: readonly CpioFile[]): Record<string, string | undefined> {
  return Object.fromEntries(
    files.filter(({ text }) => text !== undefined && text !== '').map(({ name, text }) => [name, text]),
  );
}

/** The files of a small initramfs. */
export const cpioFiles = {
  'usr/bin/sh': 'shell'.repeat(1000),
  'wanted/a': '#!/bin/sh\n',
  'wanted/b': 'x'.repeat(70_000),
  c: '',
};
