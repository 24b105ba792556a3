import { renameSync, writeFileSync } from 'node:fs';
import { buildExecutable } from './executable.ts';
import { buildBootProgram } from './boot-program.ts';
import { buildLicences } from './licences.ts';
import { executable, inRoot, thirdPartyList } from './paths.ts';
import { buildRuntime } from './runtime.ts';
import { buildProgram, programs } from './small-programs.ts';
import { buildDocs } from '../docs/docs.ts';
import { thirdParty } from '../sbom/third-party.ts';

export { buildExecutable };

/**
 * Returns the options that build the delivered agent. The code cache is recorded with `status`, its most frequent
 * command.
 */
export function agent(out: string): Parameters<typeof buildExecutable>[0] {
  const assets = (inputs: readonly string[]) => ({ 'third-party.json': JSON.stringify(thirdParty(inputs)) });
  return { entry: inRoot('agent/main.ts'), out, warmUp: ['status'], assets };
}

/**
 * Builds dist/: immutafs-agent, lib/ (its private runtime), the small programs (small-programs.ts), immutafs-boot, licences/,
 * third-party.json, and the documents of packaging/docs/docs.ts. Unchanged parts are not rebuilt. The same
 * sources, npm packages and Debian packages give the same bytes.
 */
export async function build(): Promise<void> {
  await buildRuntime();
  for (const name of programs) await buildProgram(name);
  await buildBootProgram();
  const inputs = await buildExecutable(agent(executable));
  await buildLicences(inputs);
  // Renamed when complete, because another process may be reading the list.
  const list = `${thirdPartyList}.${process.pid}`;
  writeFileSync(list, `${JSON.stringify(thirdParty(inputs), null, 1)}\n`);
  renameSync(list, thirdPartyList);
  buildDocs();
}

if (import.meta.main) await build();
