import type { Move } from '../../agent/prepare/move/record.ts';

/** Returns a record with one move to a file system (agent/prepare/move/record.ts). @param more other fields of the move */
export function recordOf(path: string, fs: string, more: Partial<Move> = {}): string {
  const kind = path === '/home' ? 'home' : 'state';
  const move: Move = {
    ...{ id: 'a', kind, path, item: path, store: '/home/store', type: 'xfs' },
    origin: { fs: 'system', inode: 1, uid: 0, gid: 0, volume: null },
    ...{ place: { fs, inode: null }, file: '/etc/fstab', before: null, after: null, content: null },
    ...{ phase: 'copying', task: null, at: null, problem: null, purged: false, ...more },
  };
  return JSON.stringify({ schema: 1, moves: [move], cleanVar: false, restoreFiles: false, rehearse: null });
}
