import fs from 'node:fs';
import { SystemError, errorCode } from '../lib/errors.ts';

/** makedev(1, 11): Documentation/admin-guide/devices.txt */
const kmsgDevice = 0x10b;
const mostRecords = 100_000;
const recordBytes = 32768;

/**
 * Reads the kernel's log buffer, beginning with the oldest record. Each read(2) returns one record
 * (Documentation/ABI/testing/dev-kmsg).
 * @throws SystemError if the file is not the kernel's log device; EPERM or EACCES without permission to read it
 */
export function readKernelLog(file = '/dev/kmsg'): string[] {
  const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isCharacterDevice() || stat.rdev !== kmsgDevice) {
      throw new SystemError(`${file}: not the kernel's log device`);
    }
    return readRecords(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function readRecords(fd: number): string[] {
  const records: string[] = [];
  const buffer = Buffer.allocUnsafe(recordBytes);
  for (let reads = 0; reads < mostRecords; reads++) {
    try {
      const count = fs.readSync(fd, buffer);
      if (count === 0) return records;
      records.push(buffer.toString('latin1', 0, count));
    } catch (error) {
      // The record was overwritten before it was read. The next read returns the oldest record.
      if (errorCode(error) === 'EPIPE') continue;
      if (errorCode(error) === 'EAGAIN') return records;
      throw error;
    }
  }
  return records;
}
