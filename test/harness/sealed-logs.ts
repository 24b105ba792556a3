/**
 * Prints, for the log in each argument, what is known without the clock of the log and of its rotated files: one line of JSON
 * that maps each file to whether this boot wrote to it (null: unknown), and to its bytes on the sealed disk.
 */
import fs from 'node:fs';
import path from 'node:path';
import { rotatedFiles } from '../../agent/forward/files/generations.ts';
import { isOfThisBoot, sealedBytes } from '../../agent/forward/files/sealed-bytes.ts';
import { statLogFile } from '../../agent/system/log-file.ts';
import { systemReader } from '../../agent/system/reader.ts';

const reader = systemReader();
const found = process.argv.slice(2).flatMap((log) => {
  const stat = statLogFile(log);
  const files = [...(stat === undefined ? [] : [{ file: log, ...stat }]), ...rotatedFiles(log)];
  return files.map((each) => {
    const ofThisBoot = isOfThisBoot(reader, log, each) ?? null;
    return [path.basename(each.file), [ofThisBoot, sealedBytes(reader, log, each.file)]] as const;
  });
});
fs.writeSync(1, `${JSON.stringify(Object.fromEntries(found))}\n`);
