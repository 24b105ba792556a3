import fs from 'node:fs';
import { scripts } from './files.ts';
import { complaints } from './programs.ts';

/** Runs shellcheck on the scripts. They are POSIX sh; the dracut module is bash, because dracut sources it with bash. */
export async function shellcheck(): Promise<string> {
  const reports = await Promise.all([
    complaints('shellcheck', '-s', 'sh', ...scripts('sh')),
    complaints('shellcheck', '-s', 'bash', ...scripts('bash')),
  ]);
  return reports.join('\n');
}

export const dash = () => parse('dash', '-n');
export const bash = () => parse('bash', '--posix', '-n');
export const busybox = () => parse('busybox', 'sh', '-n');

/**
 * Reports redirections of special builtins in scripts that run on guests: if such a redirection fails, a POSIX shell
 * exits, whatever the script tests. Instead of `:`, write `printf \'\'`; and `command exec`.
 */
export function specialBuiltins(): string {
  const redirected =
    /(?:^|[;&|{(!]|\b(?:if|then|else|do|while|until))\s*(?:(?::|eval|export|readonly|set|shift|unset)(?:\s[^#;&|(]*)?|exec)\s*\d*[<>](?!\()/;
  return scripts('sh')
    .filter((file) => /^(dracut|units|packaging)\//.test(file))
    .flatMap((file) =>
      fs
        .readFileSync(file, 'utf8')
        .split('\n')
        .map((line, index) => ({ line, where: `${file}:${index + 1}` }))
        .filter(({ line }) => !/^\s*#/.test(line) && redirected.test(line))
        .map(({ line, where }) => `${where}: redirection of a special builtin: ${line.trim()}`),
    )
    .join('\n');
}

async function parse(program: string, ...args: string[]): Promise<string> {
  const files = scripts('sh');
  if (files.length === 0) return 'no scripts';
  const reports = await Promise.all(files.map((file) => complaints(program, ...args, file)));
  return reports.join('\n');
}
