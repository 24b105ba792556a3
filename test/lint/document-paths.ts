import fs from 'node:fs';
import path from 'node:path';
import { projectFiles } from './files.ts';

/** Folders of this project in which the paths in documents are checked. */
const folders = 'agent|ansible|docs|dracut|monitoring|packaging|test|units';

/** @returns a line for each path in backticks in a Markdown file that does not exist; empty if all paths exist */
export function documentPaths(): string {
  const documents = projectFiles().filter((file) => file.endsWith('.md') && !file.includes('/fixtures/'));
  return documents.flatMap((file) => missing(file, fs.readFileSync(file, 'utf8'))).join('\n');
}

function missing(file: string, text: string): string[] {
  const named = [...text.matchAll(new RegExp('`((?:' + folders + ')/[\\w./-]+)`', 'g'))];
  return named
    .map(([, name = '']) => name)
    .filter((name) => !name.includes('/a/b.') && !fs.existsSync(name))
    .filter((name) => !fs.existsSync(path.join(path.dirname(file), name)))
    .map((name) => `${file}: ${name} does not exist`);
}
