import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { dist } from '../build/paths.ts';
import { catalog } from './catalog.ts';
import { bashCompletion, fishCompletion, zshCompletion } from './completion.ts';
import { commandManuals, manual } from './manual.ts';
import { configurationManual } from './manual-conf.ts';

/** Returns the generated documents of the package by their paths in dist/. */
export function documents(): Record<string, string> {
  return {
    'immutafs.catalog': catalog(),
    'man/immutafs-agent.8': manual(),
    ...Object.fromEntries(Object.entries(commandManuals()).map(([name, text]) => [`man/${name}.8`, text])),
    'man/immutafs.conf.5': configurationManual(),
    'completion/immutafs-agent': bashCompletion(),
    'completion/_immutafs-agent': zshCompletion(),
    'completion/immutafs-agent.fish': fishCompletion(),
  };
}

/** @param folder the output folder */
export function buildDocs(folder = dist): void {
  for (const [file, text] of Object.entries(documents())) {
    const out = path.join(folder, file);
    mkdirSync(path.dirname(out), { recursive: true });
    writeFileSync(out, text);
  }
}

if (import.meta.main) buildDocs();
