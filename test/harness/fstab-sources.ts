import fs from 'node:fs';
import path from 'node:path';

/** First fields of fstab(5) as written in the file, one character per byte, each with the device file that it names. */
export const fstabSources: readonly (readonly [string, string])[] = fs
  .readFileSync(path.join(import.meta.dirname, '../fixtures/fstab-sources'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [source = '', file = ''] = line.split(/\t+/);
    return [Buffer.from(source).toString('latin1'), file];
  });
