import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

const script = path.join(import.meta.dirname, 'rehearse.cjs');

/** Node's own names for a program's surroundings, and whether the code cache was refused. */
const parameters = 'require,module,codeCacheRejected';

/**
 * Writes program.cjs, a bundle as launch.cjs runs it, and program.cache, the functions of it that V8 compiled in a
 * run with `args`: without it, a third of the time of `status` goes into compiling them again at each start. V8 takes
 * the cache from its own version and from the flags that it was made with only.
 * @param node the very binary that the executable is made of
 * @param flags its execArgv in the executable
 * @throws if the run ends in another way than by itself
 */
export function buildCodeCache(
  folder: string,
  { node, flags, code, args }: { node: string; flags: readonly string[]; code: string; args: string[] },
): void {
  const program = path.join(folder, 'program.cjs');
  writeFileSync(program, `(function(${parameters}){${code}\n})`, 'latin1');
  const cache = path.join(folder, 'program.cache');
  execFileSync(node, [...flags, script, program, cache, ...args], {
    // Not what NODE_OPTIONS asks for: the executable ignores it.
    env: { LC_ALL: 'C' },
    stdio: 'ignore',
    timeout: 60_000,
  });
}
