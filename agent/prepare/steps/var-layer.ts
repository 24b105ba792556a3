import { isBelow } from '../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Snapshot } from '../engine/snapshot.ts';

/** The memory of the guest and the maximum size of the upper layer of /var (VAR_SIZE), in bytes. */
export function layerSize({ reader, config }: Snapshot): { memory: number; layer: number } {
  const memory = memoryBytes(reader);
  return { memory, layer: capBytes(config.VAR_SIZE, memory) };
}

/** Whether a path below /var is on the system's disk, so that a sealed boot mounts an overlay over it. */
export function isLayered({ mounts, systemDisks }: Snapshot, path: string): boolean {
  const mount = mounts.serving(path);
  if (mount === undefined) return true;
  if (!isBelow(mount.target, '/var')) return isBelow(path, '/var');
  return systemDisks.holds(mount);
}

/** Returns the size of the memory in bytes. /proc/meminfo counts in KiB. */
function memoryBytes(reader: SystemReader): number {
  const found = /^MemTotal:\s+(\d+) kB$/m.exec(reader.read('/proc/meminfo', 65536))?.[1];
  if (found === undefined) throw new Error('/proc/meminfo has no MemTotal');
  return Number(found) * 1024;
}

const units: Record<string, number> = { '%': 0, m: 1024 ** 2, g: 1024 ** 3 };

function capBytes(size: string, memory: number): number {
  const unit = size.slice(-1).toLowerCase();
  const number = parseInt(size, 10);
  return unit === '%' ? Math.floor((memory * number) / 100) : number * (units[unit] ?? 1);
}
