import type { SystemReader } from '../../system/reader.ts';

/**
 * What an unfinished disk says of itself, so that it is taken up again after a power cut, and no other disk is.
 * `making`: it is being partitioned and formatted. `copying`: /home is being copied to its file system. `copied`: the
 * copy was compared; /etc/fstab comes next. A disk that serves as /home has no mark.
 */
export interface Mark {
  progress: 'making' | 'copying' | 'copied';
  /** Of the file system; empty while it is made. */
  uuid: string;
  /** Since the epoch, when it was written. */
  seconds: number;
}

/**
 * Where on the disk: behind the partition table and before the first partition, where no program writes. One sector
 * is written whole or not at all.
 */
export const markOffset = 512 * 1024;
const markBytes = 512;

/** The same, in a file system on whose disk we may not write: a file in its root. */
export const markFile = '.immutafs-home';

/** @param device the whole disk's file in /dev */
export function readDiskMark(reader: SystemReader, device: string): Mark | undefined {
  return parseMark(reader.readAt(device, markOffset, markBytes));
}

/** @param root where the file system is mounted */
export function readFileMark(reader: SystemReader, root: string): Mark | undefined {
  const file = `${root}/${markFile}`;
  return reader.stat(file) === undefined ? undefined : parseMark(reader.read(file, markBytes));
}

/** Always as many bytes, so that it can be written over the one before. */
export function formatMark({ progress, uuid, seconds }: Mark): string {
  return `immutafs home ${progress} ${uuid === '' ? '-' : uuid} ${seconds}\n`.padEnd(markBytes, '\0');
}

export const noMark = '\0'.repeat(markBytes);

/** Anything else than what `formatMark` gives is no mark. */
export function parseMark(text: string): Mark | undefined {
  const found = /^immutafs home (making|copying|copied) (-|[\da-fA-F-]{8,36}) (\d{1,12})\n\0*$/.exec(text);
  if (found === null) return undefined;
  const [, progress, uuid = '-', seconds] = found;
  return {
    progress: progress as Mark['progress'],
    uuid: uuid === '-' ? '' : uuid,
    seconds: Number(seconds),
  };
}
