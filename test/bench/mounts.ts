import { inRoot } from '../../packaging/build/paths.ts';
import { buildPrograms, inRuntime } from './programs.ts';
import type { Result } from './run.ts';
import { type Figure, figure } from './table.ts';

const count = 20_000;
const kinds = {
  overlay: 'binds of an overlay',
  tmpfs: 'tmpfs',
  root: "binds of the root's disk",
  stacked: 'tmpfs on one another',
};

/** Compares `immutafs-agent status`, as shipped, with thousands of mounts and with few mounts. */
export async function mounts(): Promise<Result> {
  const { agent } = await buildPrograms();
  const figures: Figure[] = [];
  for (const [kind, name] of Object.entries(kinds)) {
    const [many, few] = [await measure(kind, count, agent), await measure(kind, 20, agent)];
    figures.push(
      // Excludes the kernel's CPU time, because the kernel walks a stack of mounts for each line of mountinfo.
      figure(`${name}: processor time`, 's', many.user, few.user, { of: 'value', atMost: 3 }),
      figure(`${name}: output`, 'KiB', many.bytes / 1024, few.bytes / 1024, { of: 'value', atMost: 32 }),
    );
  }
  return {
    about: `status with ${count} mounts of a kind, in user space, children included`,
    control: 'with 20',
    figures,
  };
}

interface Measured {
  /** The CPU time in user space, in seconds. */
  user: number;
  bytes: number;
}

function measure(kind: string, mountCount: number, agent: string): Promise<Measured> {
  const script = inRoot('test/bench/many-mounts.py');
  return inRuntime(['python3', script, kind, String(mountCount), agent, 'status']);
}
