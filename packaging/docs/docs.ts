import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { dist } from '../build/paths.ts';
import { catalog } from './catalog.ts';
import { completion } from './completion.ts';
import { manual } from './manual.ts';
import { configurationManual } from './manual-conf.ts';

/** What the package has beside the program, by its path in dist/; all made from the program's own tables. */
export function documents(): Record<string, string> {
  return {
    'immutafs.catalog': catalog(),
    'man/immutafs-agent.8': manual(),
    'man/immutafs.conf.5': configurationManual(),
    'completion/immutafs-agent': completion(),
  };
}

/** @param folder where to; dist/ if not given */
export function buildDocs(folder = dist): void {
  for (const [file, text] of Object.entries(documents())) {
    const out = path.join(folder, file);
    mkdirSync(path.dirname(out), { recursive: true });
    writeFileSync(out, text);
  }
}

if (import.meta.main) buildDocs();
