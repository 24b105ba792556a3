import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

const wipefs = '/usr/sbin/wipefs';
const blkid = '/usr/sbin/blkid';
const mebibyte = 1024 * 1024;

/**
 * Describes the content of a device by the signatures on it, one phrase each. The result is empty if the device is
 * empty.
 * @param bytes the size of the device
 */
export async function findContent(reader: SystemReader, device: string, bytes: number): Promise<string[]> {
  const { stdout, ended } = await reader.run(wipefs, ['-p', device]);
  if (ended !== 'good') throw new SystemError(`${wipefs} could not read ${device}`);
  const found = [...new Set(stdout.split('\n').flatMap(describe))];
  if (found.length > 0) return found;
  const ends = [0, Math.max(0, bytes - mebibyte)];
  const data = ends.some((offset) => /[^\0]/.test(reader.readAt(device, offset, mebibyte)));
  return data ? ['data of an unknown kind'] : [];
}

/**
 * Describes a line of wipefs(8) --parsable: offset, UUID, label, type. util-linux before 2.31 prints a heading that
 * begins with #.
 */
function describe(line: string): string[] {
  const [, uuid = '', label = '', type = ''] = line.split(',');
  if (line.startsWith('#') || type === '') return [];
  const known = words[type];
  if (known !== undefined) return [known];
  const names = [label === '' ? [] : [`label ${label}`], uuid === '' ? [] : [`UUID ${uuid}`]].flat();
  return [`a file system (${[type, ...names].join(', ')})`];
}

const words: Record<string, string> = {
  gpt: 'a partition table',
  PMBR: 'a partition table',
  dos: 'a partition table',
  LVM2_member: 'a physical volume of LVM',
  LVM1_member: 'a physical volume of LVM',
  linux_raid_member: 'a member of an md array',
  crypto_LUKS: 'an encrypted volume (LUKS)',
  swap: 'swap space',
  swsuspend: 'a hibernated system',
};

/** Returns the tags (TYPE, UUID, PART_ENTRY_NAME, …) that blkid(8) reads from the device itself, without any cache. */
export async function probe(reader: SystemReader, device: string): Promise<Record<string, string>> {
  const { stdout } = await reader.run(blkid, ['-p', '-o', 'export', device]);
  return Object.fromEntries(
    stdout.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : [];
    }),
  );
}
