import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { goodGuest, makeGuest } from '../../test/harness/guest.ts';
import { dist } from './paths.ts';

const script = path.join(import.meta.dirname, 'warm-up.cjs');

/**
 * Parameters of the function that wraps the program: two that Node passes to a CommonJS module, whether V8 rejected the
 * code cache, and the root of the system that the program reads, which is undefined except in the warm-up run.
 */
const parameters = 'require,module,codeCacheRejected,warmUpRoot';

/** The system that the warm-up run reads instead of the build machine's. */
export const warmUpGuest = goodGuest();

/**
 * Writes program.cjs, the bundle in the form that launch.cjs runs, and program.cache, the code that V8 compiled in a
 * run with `args`. Without the cache, `status` spends a third of its time compiling. V8 accepts a cache only from its
 * own version and with the same flags. The run reads the fixture of a sealed guest, because on the build machine's own
 * system, each build could compile other functions. It uses dist/read-mappings, which must have been built.
 * @param folder receives both files
 * @param options node: the binary in the executable; flags: its execArgv; code: the bundle
 * @throws Error if the run fails or takes longer than 60 s
 */
export function buildCodeCache(
  folder: string,
  { node, flags, code, args }: { node: string; flags: readonly string[]; code: string; args: string[] },
): void {
  const program = path.join(folder, 'program.cjs');
  writeFileSync(program, `(function(${parameters}){${code}\n})`, 'latin1');
  const cache = path.join(folder, 'program.cache');
  const system = path.join(folder, 'system');
  makeSystem(system);
  // With a fixed seed, V8 writes the same cache in every build. The seed is not part of the flags that V8 compares.
  execFileSync(node, [...flags, '--random-seed=1', script, program, cache, system, dist, ...args], {
    // Without NODE_OPTIONS, because the executable ignores it as well.
    env: { LC_ALL: 'C' },
    stdio: 'ignore',
    timeout: 60_000,
  });
}

function makeSystem(folder: string): void {
  // The program distrusts files that a group may write.
  const umask = process.umask(0o022);
  try {
    mkdirSync(folder);
    makeGuest(folder, warmUpGuest);
  } finally {
    process.umask(umask);
  }
}
