import type { TarWriter } from '../../system/layers/tar-writer.ts';

/** A member of the export that contains a part of a longer text. */
export interface Part {
  member: string;
  sha256: string;
}

/** Writes a text of any length in members of limited size, because a tar header states the size in advance. */
export interface Parts {
  add(bytes: Buffer): Promise<void>;
  /** Writes the rest. @returns all members */
  end(): Promise<Part[]>;
  /** The bytes that are not written yet. */
  readonly waiting: number;
}

const partBytes = 4 * 1024 * 1024;

/** @param name the members are called DIRECTORY/00001.EXTENSION and so on */
export function partsWriter(tar: TarWriter, directory: string, extension: string, now: () => Date): Parts {
  const parts: Part[] = [];
  let waiting: Buffer[] = [];
  let bytes = 0;
  const flush = async () => {
    if (bytes === 0) return;
    const member = `${directory}/${String(parts.length + 1).padStart(5, '0')}.${extension}`;
    const content = Buffer.concat(waiting);
    [waiting, bytes] = [[], 0];
    parts.push({ member, sha256: await tar.addText(member, content, now()) });
  };
  return {
    add: async (piece) => {
      waiting.push(piece);
      bytes += piece.length;
      if (bytes >= partBytes) await flush();
    },
    end: async () => {
      await flush();
      return parts;
    },
    get waiting() {
      return bytes;
    },
  };
}
