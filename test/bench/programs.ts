import path from 'node:path';
import { execa } from 'execa';
import { buildExecutable } from '../../packaging/build/executable.ts';
import { agent as agentAt } from '../../packaging/build/build.ts';
import { inRoot, scratch } from '../../packaging/build/paths.ts';
import { buildRuntime } from '../../packaging/build/runtime.ts';
import { buildProgram } from '../../packaging/build/small-programs.ts';

/** Builds the agent as shipped and, in the same way, an empty program. @returns the paths of both programs */
export async function buildPrograms(): Promise<{ agent: string; empty: string }> {
  await buildRuntime();
  await buildProgram('try-write');
  await buildProgram('read-xattrs');
  await buildProgram('read-mappings');
  const agent = path.join(scratch, 'bench/bench-agent');
  const empty = path.join(scratch, 'bench/bench-empty');
  await buildExecutable(agentAt(agent));
  await buildExecutable({ entry: inRoot('test/bench/empty.ts'), out: empty });
  return { agent, empty };
}

/** Builds, in the same way, `status` as in a sealed guest. @returns its path */
export async function buildSealedStatus(): Promise<string> {
  const out = path.join(scratch, 'bench/bench-sealed-status');
  await buildExecutable({ entry: inRoot('test/bench/sealed-status.ts'), out });
  return out;
}

/** Runs a command with the private runtime of the agent. @returns the JSON that it prints */
export async function inRuntime<T>(command: readonly string[], env: Record<string, string> = {}): Promise<T> {
  const script = inRoot('packaging/build/run-dist.sh');
  const { stdout } = await execa('sh', [script, ...command], { env, stderr: 'inherit' });
  return JSON.parse(stdout) as T;
}

/** Returns the command that measures commands alternately (series.ts). */
export function seriesOf(commands: string[][]): string[] {
  return [process.execPath, inRoot('test/bench/series.ts'), JSON.stringify(commands)];
}
