import path from 'node:path';
import { ImageRefusal } from './image-reader.ts';
import type { SystemWriter } from './writer.ts';

/** The programs that change only the files of an image. */
const programs: readonly string[] = ['/usr/bin/dracut', '/bin/chgrp', '/bin/chmod'];

/** Returns a writer for the files of an image, in a chroot. It refuses every program but a few. */
export function imageWriter(writer: SystemWriter): SystemWriter {
  return {
    ...writer,
    run: async (program, ...rest) => {
      if (!programs.includes(program))
        throw new ImageRefusal(program, `the result of ${path.basename(program)}`);
      return writer.run(program, ...rest);
    },
  };
}
