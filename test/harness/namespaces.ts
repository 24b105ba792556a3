import {
  type Namespace,
  type Namespaces,
  parseMounts,
  tableOf,
} from '../../agent/prepare/move/namespaces.ts';
import type { Region } from '../../agent/prepare/move/region.ts';

/** The region of a /home that is a folder of /. */
export const folder: Region = { path: '/home', devices: new Set(['253:0']), root: '/home' };
/** The region of a /home that is a separate file system. */
export const volume: Region = { path: '/home', devices: new Set(['253:1']), root: '/' };

/** Returns namespaces with the given mount tables; the first is that of this process. */
export function namespaces(region: Region, ...tables: string[]): Namespaces {
  const all = tables.map((text, index): Namespace => {
    const lines = text.trim().replace(/^ +/gm, '');
    return {
      ...tableOf(parseMounts(lines, '/'), region),
      own: index === 0,
      pid: 100 + index,
      name: `p${index}`,
      who: `p${index}`,
    };
  });
  const [own] = all;
  if (own === undefined) throw new Error('no table');
  return { region, all, own, named: new Map(), ids: new Set(), byId: new Map(), kept: [] };
}

/** The line of / in mountinfo. */
export const root = '60 1 253:0 / / rw shared:1 - xfs /dev/mapper/rhel-root rw';
