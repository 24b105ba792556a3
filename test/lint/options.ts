import fs from 'node:fs';
import { projectFiles } from './files.ts';

/**
 * The options that our scripts may use, by program: each is in the version of RHEL 7 (coreutils 8.22, e2fsprogs 1.42.9,
 * device-mapper of lvm2 2.02, util-linux 2.23, systemd 219; manual pages of RHEL 7). "-O has_journal" is a value of -O, and so on.
 */
const known: Readonly<Record<string, ReadonlySet<string>>> = {
  cp: words('-a -d -f -p -R -T -x --preserve'),
  dmsetup: words('--noudevsync --retry --uuid'),
  fstrim: words('-v'),
  'mkfs.ext4': words('-E -F -L -m -O -q -U -E:discard -E:nodiscard -E:lazy_itable_init -O:has_journal'),
  stat: words('-c -f -L'),
  timeout: words('-k -s'),
  udevadm: words('--exit-if-exists --timeout'),
};

const program = new RegExp(
  String.raw`(?<![\w./"'-])(?:/usr/s?bin/)?(${Object.keys(known)
    .join('|')
    .replace('.', String.raw`\.`)})(?=\s)`,
  'g',
);

/** The words of a command. Quoted words and expansions can contain blanks. */
const following = /^(?:\s+(?:"[^"]*"|'[^']*'|\$\{[^}]*\}|[^\s|;&()<>"'])+)*/;

/**
 * Finds options of programs in what runs on guests that the programs of RHEL 7 do not know.
 * @returns one line per problem
 */
export function programOptions(): string {
  return projectFiles()
    .filter((file) => /^(boot|dracut|units)\//.test(file))
    .flatMap((file) =>
      fs
        .readFileSync(file, 'utf8')
        .split('\n')
        .flatMap((line, index) => unknownOptions(line).map((option) => `${file}:${index + 1}: ${option}`)),
    )
    .join('\n');
}

function unknownOptions(line: string): string[] {
  if (/^\s*#/.test(line)) return [];
  return [...line.matchAll(program)].flatMap(({ 0: whole, 1: name = '', index }) => {
    const [text = ''] = following.exec(line.slice(index + whole.length)) ?? [];
    return optionsIn(name, text.trim().split(/\s+/))
      .filter((option) => known[name]?.has(option) !== true)
      .map((option) => `${name} ${option}: RHEL 7 does not know it, or test/lint/options.ts does not`);
  });
}

/** What follows the time limit of timeout(1) is another command. */
function optionsIn(name: string, all: readonly string[]): string[] {
  const end = name === 'timeout' ? all.findIndex((word) => !/^-|^\d+$/.test(word)) : -1;
  return all
    .slice(0, end === -1 ? all.length : end)
    .flatMap((word, index) => optionsOf(word.replaceAll(/["']/g, ''), all[index + 1] ?? ''));
}

/** Returns the options of a word, with the values of -E and -O. */
function optionsOf(word: string, next: string): string[] {
  if (/^--\w/.test(word)) return [word.replace(/=.*/, '')];
  if (!/^-[A-Za-z]/.test(word)) return [];
  const values = /^-[EO]$/.test(word)
    ? next.split(',').map((value) => `${word}:${value.replace(/^\^/, '').replace(/=.*/, '')}`)
    : [];
  return [
    ...word
      .slice(1)
      .split('')
      .map((letter) => `-${letter}`),
    ...values,
  ];
}

function words(text: string): Set<string> {
  return new Set(text.split(' '));
}
