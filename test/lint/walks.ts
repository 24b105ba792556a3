import fs from 'node:fs';
import path from 'node:path';
import { projectFiles } from './files.ts';
import { imports } from './layers.ts';

/** The walks through the source are lists of files, each after an arrow. */
const document = 'CONTRIBUTING.md';

/**
 * Checks the file after each arrow: a file before it in the same walk imports it, names it if it is a unit, or is a unit or a script that runs
 * one of its commands.
 * @returns a line for each arrow for which neither is so; empty if there is none
 */
export function walks(): string {
  return fs
    .readFileSync(document, 'utf8')
    .split(/\n\n|\n(?=- )/)
    .filter((walk) => walk.includes('→'))
    .flatMap(wrongArrows)
    .join('\n');
}

function wrongArrows(walk: string): string[] {
  const seen: string[] = [];
  return [...walk.matchAll(/(→\s*)?`([\w./@-]+\.(?:ts|sh|service|rules))`/g)].flatMap(
    ([, arrow, name = '']) => {
      const file = fileOf(name);
      const before = [...seen];
      if (file !== undefined) seen.push(file);
      if (arrow === undefined || before.length === 0) return [];
      if (file === undefined) return [`${document}: ${name} does not exist`];
      return before.some((each) => leadsTo(each, file))
        ? []
        : [`${document}: nothing before ${name} in its walk leads to it`];
    },
  );
}

/** Files of agent/ are named without this folder, and units without a folder. */
function fileOf(name: string): string | undefined {
  return projectFiles().find((file) =>
    /\.ts$/.test(name) ? [name, `agent/${name}`].includes(file) : file === name || file.endsWith(`/${name}`),
  );
}

function leadsTo(from: string, to: string): boolean {
  if (from.endsWith('.ts') && to.endsWith('.ts')) return imports(from).includes(to);
  const text = fs.readFileSync(from, 'utf8');
  if (to === 'boot/main.ts') return text.includes('/immutafs-boot ');
  if (!to.endsWith('.ts')) return text.includes(path.basename(to));
  const commands = fs.readFileSync(to, 'utf8');
  return [...text.matchAll(/immutafs-boot ([a-z-]+)/g)].some(([, name = '']) =>
    new RegExp(`^ {2}'?${name}'?: \\{$`, 'm').test(commands),
  );
}
