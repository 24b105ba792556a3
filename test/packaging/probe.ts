import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** launch.cjs sets this variable. */
declare const codeCacheRejected: boolean | undefined;

/** Prints properties of the runtime in which it runs, as JSON. A program for executable.test.ts. */
async function main(): Promise<void> {
  const journal = await loadJournal();
  const random = randomBytes(8).length;
  const maps = readFileSync('/proc/self/maps', 'utf8').trimEnd().split('\n');
  const writableAndExecutable = maps.filter((line) => line.split(' ')[1]?.includes('wx'));
  const files = maps
    .map((line) => line.slice(line.lastIndexOf(' ') + 1))
    .filter((file) => /\.(so|node)\b/.test(file));
  process.stdout.write(
    JSON.stringify({
      codeCacheRejected,
      journal,
      random,
      writableAndExecutable,
      libraries: [...new Set(files)],
    }),
  );
}

async function loadJournal(): Promise<string> {
  try {
    await import('systemd-journald/log.js');
    return 'loaded';
  } catch (error) {
    return error instanceof Error ? `Error: ${error.message}` : 'not even an Error';
  }
}

void main();
