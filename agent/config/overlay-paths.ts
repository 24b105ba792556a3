import { words } from './boot-keys.ts';
import type { Config } from './keys.ts';

/** An item of OVERLAY. */
export interface OverlayPath {
  target: string;
  /** The mount options of the overlay, with the defaults nosuid and nodev. */
  options: string[];
}

/** The directory to which cloud-init writes the identity of a guest. */
const seedTarget = '/etc';

/** Whether a path has the overlay that becomes read-only when cloud-init has finished. */
export function isSeedOverlay({ SEED }: Pick<Config, 'SEED'>, target: string): boolean {
  return SEED === 'host' && target === seedTarget;
}

/**
 * Parses OVERLAY, to which SEED=host adds /etc. If a path is given twice, its first item counts.
 */
export function overlayPaths({ OVERLAY, SEED }: Pick<Config, 'OVERLAY' | 'SEED'>): OverlayPath[] {
  const found = new Map<string, OverlayPath>();
  for (const word of [...words(OVERLAY), ...(SEED === 'host' ? [seedTarget] : [])]) {
    const [target = '', list = ''] = word.split(':');
    const given = list.split(',').filter((option) => option !== '');
    const kept = ['suid', 'dev'].filter((option) => !given.includes(option)).map((option) => `no${option}`);
    const added = ['noexec', 'noatime', 'relatime'].filter((option) => given.includes(option));
    if (!found.has(target)) found.set(target, { target, options: [...kept, ...added] });
  }
  return [...found.values()];
}

/** Returns the overlays to which services can write: not that of the seed, which becomes read-only. */
export function writableOverlays(config: Pick<Config, 'OVERLAY' | 'SEED'>): string[] {
  return overlayPaths(config)
    .map(({ target }) => target)
    .filter((target) => !isSeedOverlay(config, target));
}

/** Returns the directories that a sealed boot resets at every reboot: /var and those of writableOverlays. */
export function resetDirectories(config: Pick<Config, 'OVERLAY' | 'SEED'>): string[] {
  return ['/var', ...writableOverlays(config)];
}

/**
 * The paths of OVERLAY that can never get an overlay. After a path with `/*`, neither can what is below it.
 */
export const overlayRefusals: readonly { path: string; below: boolean; why: string }[] = Object.entries({
  '/': 'the whole system would be writable: name the directories that programs write to',
  '/usr': 'it holds the programs of the system: name a directory below it, such as /usr/local',
  '/boot/*': 'the next boot starts from it: change it in maintenance mode',
  '/dev/*': 'the kernel provides it: it is not on the system disk',
  '/proc/*': 'the kernel provides it: it is not on the system disk',
  '/sys/*': 'the kernel provides it: it is not on the system disk',
  '/run/*': 'it is in RAM: it is writable without an overlay',
  '/var/*': 'it is writable without this key: /var has an overlay of its own',
}).map(([name, why]) => ({ path: name.replace(/\/\*$/, ''), below: name.endsWith('/*'), why }));

/** Returns the reason why a path of OVERLAY can never get an overlay. */
export function overlayRefusal(target: string): string | undefined {
  return overlayRefusals.find(
    ({ path, below }) => path === target || (below && target.startsWith(`${path}/`)),
  )?.why;
}
