import { buildExecutable } from './executable.ts';
import { buildLicences } from './licences.ts';
import { executable, inRoot } from './paths.ts';
import { buildRuntime } from './runtime.ts';
import { buildSetReadonly, buildTryWrite } from './small-programs.ts';
import { buildDocs } from '../docs/docs.ts';

export { buildExecutable };

/**
 * Returns the options that build the delivered agent. The code cache is recorded with `status`, its most frequent
 * command.
 */
export function agent(out: string): Parameters<typeof buildExecutable>[0] {
  return { entry: inRoot('agent/main.ts'), out, rehearsal: ['status'] };
}

/**
 * Builds dist/: immutafs-agent, lib/ (its private runtime), set-readonly, try-write, licences/, and the documents of
 * packaging/docs/docs.ts. Unchanged parts are not rebuilt. The same sources, npm packages and Debian libraries give the
 * same bytes, except for the code cache, which depends on a random number that V8 generates at each start.
 */
export async function build(): Promise<void> {
  await buildRuntime();
  await buildSetReadonly();
  await buildTryWrite();
  const inputs = await buildExecutable(agent(executable));
  await buildLicences(inputs);
  buildDocs();
}

if (import.meta.main) await build();
