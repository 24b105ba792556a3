import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';

const project = path.join(import.meta.dirname, '../..');

/**
 * Runs a linter.
 * @returns its output; empty if it exits with 0
 */
export async function complaints(program: string, ...args: string[]): Promise<string> {
  const { all, failed, shortMessage } = await execa(program, args, {
    all: true,
    reject: false,
    stdin: 'ignore',
    preferLocal: true,
    localDir: project,
  });
  if (!failed) return '';
  return all === '' ? (shortMessage ?? `${program} failed`) : all;
}

/** Checks the types of the project, or of the files that the arguments name. */
export const tsc = (...args: string[]) => complaints('tsc', '--noEmit', '--pretty', 'false', ...args);
export const oxlint = () => complaints('oxlint', '--deny-warnings', '--format', 'unix');
export const oxfmt = () => complaints('oxfmt', '--check');

/** Runs rpmlint with the project's exceptions. Warnings count as failures. */
export async function rpmlint(): Promise<string> {
  const spec = 'packaging/rpm.spec';
  if (!fs.existsSync(spec)) return `${spec} is missing`;
  const { all } = await execa('rpmlint', ['--config', 'packaging/rpmlintrc.toml', spec], {
    all: true,
    reject: false,
  });
  return / 0 errors, 0 warnings, /.test(all) ? '' : all;
}
