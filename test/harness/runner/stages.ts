import fs from 'node:fs';
import path from 'node:path';

/** The linters are a test too: the first. */
export const lintFile = 'test/lint.ts';

/** Guests at a time: each has one or two processors, all of them emulated. */
const guestsAtOnce = 2;

/** The files that take longest, begun first so that the last of them does not run alone at the end. */
const longest = [
  'update',
  'prepare-power-cut',
  'power-cut',
  'identity',
  'faults',
  'verify',
  'layouts',
  'next-boot',
].map((name) => `test/vm/${name}.test.ts`);

interface Stage {
  files: string[];
  /** How many of them run at a time. */
  atOnce: number;
  /** How long one of them may take. */
  seconds: number;
}

/** Quick and telling ones first; a stage begins when the one before it has ended. */
export function stages(files: readonly string[]): Stage[] {
  const lint = (file: string) => file === lintFile;
  const wire = (file: string) => file.startsWith('test/wire/');
  const vm = (file: string) => file.startsWith('test/vm/');
  const other = (file: string) => !lint(file) && !wire(file) && !vm(file);
  return [
    { files: files.filter(lint), atOnce: 1, seconds: 180 },
    { files: files.filter(other), atOnce: 2, seconds: 180 },
    { files: files.filter(wire), atOnce: 2, seconds: 180 },
    {
      files: [
        ...longest.filter((file) => files.includes(file)),
        ...files.filter((file) => vm(file) && !longest.includes(file)),
      ],
      atOnce: guestsAtOnce,
      seconds: 1800,
    },
  ];
}

/** The linters and every test/**\/*.test.ts, sorted, without those below a folder of fixtures. */
export function findFiles(root: string): string[] {
  const found = fs
    .readdirSync(path.join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts') && !file.split('/').includes('fixtures'))
    .map((file) => `test/${file}`);
  return [lintFile, ...found.sort()];
}
