import type { SystemReader } from '../../system/reader.ts';

const file = '/proc/sys/crypto/fips_enabled';

/**
 * Returns whether the kernel runs in FIPS mode (kernel argument fips=1). A kernel without FIPS support does not have the
 * file.
 * @throws Error if the file contains neither 0 nor 1
 */
export function readFipsMode(reader: SystemReader): boolean {
  const text = reader.readIfPresent(file, 64)?.trim() ?? '0';
  if (text !== '0' && text !== '1') throw new Error(`${file} contains '${text}', neither 0 nor 1`);
  return text === '1';
}
