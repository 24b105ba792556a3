import { execFileSync } from 'node:child_process';
import fs from 'node:fs';

/** Returns all files of the project, including uncommitted files, except files that Git ignores. */
export function projectFiles(): string[] {
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    encoding: 'utf8',
  });
  return list
    .split('\0')
    .filter((file) => file !== '' && fs.lstatSync(file, { throwIfNoEntry: false })?.isFile());
}

export type Shell = 'sh' | 'bash';

/** Returns the scripts for a shell, which are recognised by their first line or by a shellcheck directive. */
export function scripts(shell: Shell): string[] {
  return projectFiles().filter((file) => shellOf(fs.readFileSync(file, 'latin1').slice(0, 200)) === shell);
}

function shellOf(begin: string): Shell | undefined {
  const [, name] = /^(?:#!\s*\S*\/|#!\S+env |# shellcheck shell=)(sh|bash|dash)\b/.exec(begin) ?? [];
  if (name === undefined) return undefined;
  return name === 'bash' ? 'bash' : 'sh';
}
