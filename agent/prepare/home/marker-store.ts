import { HostError } from '../../lib/errors.ts';
import {
  formatMark,
  markFile,
  markOffset,
  noMark,
  readDiskMark,
  readFileMark,
  type Mark,
} from './progress-marker.ts';
import { now } from './format.ts';
import { staging } from './places.ts';
import type { Move } from './abortable.ts';

/** Where the mark of an unfinished copy is kept. */
export interface Ledger {
  read: () => Mark | undefined;
  /** On the disk when it returns, with all that was written before. */
  write: (progress: Mark['progress']) => Promise<void>;
  clear: () => Promise<void>;
}

const sync = '/usr/bin/sync';

/** On a disk that is /home's alone. */
export function diskLedger(move: Move, device: string, uuid: string): Ledger {
  const { reader, writer, always } = move;
  return {
    read: () => readDiskMark(reader, device),
    write: async (progress) => {
      await always(sync);
      writer.writeAt(device, markOffset, formatMark({ progress, uuid, seconds: now(move) }));
    },
    clear: async () => {
      await always(sync);
      writer.writeAt(device, markOffset, noMark);
    },
  };
}

/**
 * In a file system that was there already, mounted at `root`. Written over in place, so that the time of the folder
 * is not changed.
 * @throws HostError where it has no mark and is not empty
 */
export function fileLedger(move: Move, uuid: string, root: string = staging): Ledger {
  const { reader, writer, always } = move;
  const file = `${root}/${markFile}`;
  return {
    read: () => readFileMark(reader, root),
    write: async (progress) => {
      const text = formatMark({ progress, uuid, seconds: now(move) });
      await always(sync);
      if (reader.stat(file) === undefined) {
        const others = reader.list(root).filter((name) => name !== 'lost+found');
        if (others.length > 0) {
          throw new HostError(`the file system ${uuid} is not empty: ${others.slice(0, 5).join(', ')}`);
        }
        writer.replaceText(file, text, 0o600);
      } else {
        writer.writeAt(file, 0, text);
      }
    },
    clear: async () => {
      await always(sync);
      if (reader.stat(file) === undefined) return;
      const times = '/run/immutafs/prepare.times';
      await always('/usr/bin/touch', '--reference', root, times);
      writer.remove(file);
      await always('/usr/bin/touch', '--reference', times, root);
      writer.remove(times);
    },
  };
}
