import fs from 'node:fs';
import { scripts } from './files.ts';
import { complaints } from './programs.ts';

/**
 * Runs shellcheck on the scripts. The boot scripts are POSIX sh; the dracut module is bash, because dracut sources it
 * with bash.
 *
 * The files that boot scripts source are checked with each script that sources them, because only there all variables
 * are known. A script does not use every variable of the library, so SC2034 (unused) is checked for all scripts together.
 */
export async function shellcheck(): Promise<string> {
  const files = scripts('sh').filter((file) => !isPart(file));
  const programs = files.filter((file) => /^(dracut|units)\//.test(file));
  const joined =
    'cat "$@" | sed "s,shellcheck source=.*,shellcheck source=/dev/null," | shellcheck -s sh -i SC2034 --extended-analysis=false -';
  const reports = await Promise.all([
    complaints('shellcheck', '-x', '-s', 'sh', ...files.filter((file) => !programs.includes(file))),
    ...programs.map((file) => complaints('shellcheck', '-x', '-a', '-s', 'sh', '-e', 'SC2034', file)),
    complaints('sh', '-c', joined, 'sh', ...scripts('sh').filter((file) => isOfBoot(file))),
    complaints('shellcheck', '-x', '-s', 'bash', ...scripts('bash')),
  ]);
  return [...new Set([...reports, ...unreadParts()])].join('\n');
}

/** Reports parts that no script reads, because nothing checks them. */
function unreadParts(): string[] {
  const texts = scripts('sh').map((file) => fs.readFileSync(file, 'utf8'));
  return scripts('sh')
    .filter((file) => isPart(file) && !texts.some((text) => text.includes(`# shellcheck source=${file}\n`)))
    .map((file) => `${file}: no script reads it`);
}

const isOfBoot = (file: string) => /^(boot|dracut|units)\//.test(file);

/** Whether a file is a part of the boot scripts, which only other files read. */
function isPart(file: string): boolean {
  return isOfBoot(file) && !fs.readFileSync(file, 'utf8').startsWith('#!');
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
    .filter((file) => /^(boot|dracut|units|packaging)\//.test(file))
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
