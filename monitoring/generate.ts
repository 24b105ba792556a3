/** node monitoring/generate.ts: writes the generated files of this folder. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { dashboard } from './dashboard.ts';
import { ruleFile } from './rules.ts';

/** Returns the generated files by their names in this folder. */
export function generatedFiles(): Record<string, string> {
  return { 'alerts.yml': ruleFile(), 'dashboard.json': `${JSON.stringify(dashboard(), null, 2)}\n` };
}

/** Returns the names of the generated files that are not up to date. */
export function staleFiles(): string[] {
  return Object.entries(generatedFiles())
    .filter(([name, text]) => readFileSync(path.join(import.meta.dirname, name), 'utf8') !== text)
    .map(([name]) => name);
}

if (import.meta.main) {
  for (const [name, text] of Object.entries(generatedFiles())) {
    writeFileSync(path.join(import.meta.dirname, name), text);
  }
}
