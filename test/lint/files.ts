import { execFileSync } from 'node:child_process';
import fs from 'node:fs';

/** All files of the project, including uncommitted ones, without those that Git ignores. */
export function projectFiles(): string[] {
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    encoding: 'utf8',
  });
  return list
    .split('\0')
    .filter((file) => file !== '' && fs.lstatSync(file, { throwIfNoEntry: false })?.isFile());
}

export type Shell = 'sh' | 'bash';

/** The scripts for a shell, found by their first line or by the directive for shellcheck. */
export function scripts(shell: Shell): string[] {
  return projectFiles().filter((file) => shellOf(fs.readFileSync(file, 'latin1').slice(0, 200)) === shell);
}

function shellOf(begin: string): Shell | undefined {
  const [, name] = /^(?:#!\s*\S*\/|#!\S+env |# shellcheck shell=)(sh|bash|dash)\b/.exec(begin) ?? [];
  if (name === undefined) return undefined;
  return name === 'bash' ? 'bash' : 'sh';
}
