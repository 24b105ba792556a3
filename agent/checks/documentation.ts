import fs from 'node:fs';
import path from 'node:path';
import { paragraphs } from '../lib/paragraphs.ts';
import { type Documentation, headings } from './check.ts';

/**
 * The documentation of each check by the id of the check, from the Markdown files of this directory. The executable
 * reads no files: packaging/build/executable.ts compiles this object in instead of this module.
 */
export const documentation = readAllDocumentation(import.meta.dirname);

/** Reads every Markdown file of a directory. @throws Error as `readDocumentation` */
export function readAllDocumentation(folder: string): Readonly<Record<string, Documentation>> {
  const files = fs.readdirSync(folder).filter((name) => name.endsWith('.md'));
  const ids = files.map((name) => path.basename(name, '.md'));
  return Object.fromEntries(ids.map((id) => [id, readDocumentation(folder, id)]));
}

/** Reads the documentation of one check. @throws Error with the file and the reason, if the form is not exactly this */
export function readDocumentation(folder: string, id: string): Documentation {
  const file = `${id}.md`;
  const [head = '', ...sections] = fs.readFileSync(path.join(folder, file), 'utf8').split('\n## ');
  const [, title] = head.startsWith(`# ${id}: `) ? (/: (\S.*)\n$/.exec(head) ?? []) : [];
  if (title === undefined)
    throw new Error(`${file}: the first line must be "# ${id}: TITLE", then an empty line`);
  const found = sections.map((section) => section.split('\n', 1)[0]);
  const { page: last, ...others } = headings;
  const wanted = [...Object.values(others), ...(found.includes(last) ? [last] : [])];
  if (found.join() !== wanted.join()) {
    throw new Error(
      `${file}: the sections must be, in this order: ${wanted.join(', ')}; found: ${found.join(', ')}`,
    );
  }
  const [means = '', why = '', fix = '', more] = sections.map((section) => textOf(file, section));
  if (more === undefined) return { title, means, why, fix };
  const page = /^`docs\/([\w-]+\.md)`$/.exec(more)?.[1];
  if (page === undefined) throw new Error(`${file}: ${last}: expected one file of docs/ in backquotes`);
  return { title, means, why, fix, page };
}

/** Returns the paragraphs of a section as one, because the formats for which they are made have no others. */
function textOf(file: string, section: string): string {
  const [heading = '', ...lines] = section.split('\n');
  return paragraphs(lines.join('\n'), `${file}: ${heading}`).join(' ');
}
