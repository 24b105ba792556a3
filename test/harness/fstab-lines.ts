import fs from 'node:fs';
import path from 'node:path';

/** A line of fstab(5) and its reading by libmount. Texts have one character per byte (latin1). */
export interface FstabLineCase {
  line: string;
  /** `ignored`: empty or a comment. `rejected`: mount(8) reports the line as malformed. */
  reading: 'fields' | 'ignored' | 'rejected';
  /**
   * The source, target, type and options with their escapes decoded, the target without redundant slashes; null unless
   * `reading` is `fields`.
   */
  fields: [source: string, target: string, type: string, options: string] | null;
}

/** Lines that libmount, the agent and the boot must read in the same way. */
export const fstabLines = JSON.parse(
  fs.readFileSync(path.join(import.meta.dirname, '../fixtures/fstab-lines.json'), 'utf8'),
) as readonly FstabLineCase[];

/** First fields of fstab(5) as written in the file, one character per byte, each with the device file that it names. */
export const fstabSources: readonly (readonly [string, string])[] = fs
  .readFileSync(path.join(import.meta.dirname, '../fixtures/fstab-sources'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [source = '', file = ''] = line.split(/\t+/);
    return [Buffer.from(source).toString('latin1'), file];
  });
