import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

const script = path.join(import.meta.dirname, 'rehearse.cjs');

/**
 * Parameters of the function that wraps the program: two that Node passes to a CommonJS module, and whether V8 rejected
 * the code cache.
 */
const parameters = 'require,module,codeCacheRejected';

/**
 * Writes program.cjs, the bundle in the form that launch.cjs runs, and program.cache, the code that V8 compiled in a
 * run with `args`. Without the cache, `status` spends a third of its time compiling. V8 accepts a cache only from its
 * own version and with the same flags.
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
  execFileSync(node, [...flags, script, program, cache, ...args], {
    // Without NODE_OPTIONS, because the executable ignores it as well.
    env: { LC_ALL: 'C' },
    stdio: 'ignore',
    timeout: 60_000,
  });
}
