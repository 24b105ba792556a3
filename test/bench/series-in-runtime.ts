import { execa } from 'execa';
import { inRoot } from '../../packaging/build/paths.ts';
import type { Series } from './series.ts';

export type { Series };

/** Measures commands alternately in one namespace with the runtime, so that creating a namespace is not measured. */
export async function inRuntime(commands: string[][]): Promise<Series[]> {
  const inner = [process.execPath, inRoot('test/bench/series.ts'), JSON.stringify(commands)];
  const { stdout } = await execa('sh', [inRoot('packaging/build/run-dist.sh'), ...inner]);
  return JSON.parse(stdout) as Series[];
}
