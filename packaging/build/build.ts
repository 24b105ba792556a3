import { buildExecutable } from './executable.ts';
import { buildLicences } from './licences.ts';
import { executable, inRoot } from './paths.ts';
import { buildRuntime } from './runtime.ts';
import { buildSetReadonly, buildTryWrite } from './small-programs.ts';
import { buildDocs } from '../docs/docs.ts';

export { buildExecutable };

/** Options that build the delivered agent. `status`, its most frequent command, is rehearsed. */
export function agent(out: string): Parameters<typeof buildExecutable>[0] {
  return { entry: inRoot('agent/main.ts'), out, rehearsal: ['status'] };
}

/**
 * Builds dist/: immutafs-agent, lib/ (its private runtime), set-readonly, try-write, licences/, and the documents of
 * packaging/docs/docs.ts. Unchanged parts are not rebuilt. The same sources, npm packages and Debian libraries give the
 * same bytes, except for the code cache, which depends on a number that V8 draws at each start.
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
