import path from 'node:path';
import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

const mebibyte = 1024 * 1024;

export function deviceOf(node: string): string {
  return `/dev/${path.basename(node)}`;
}

/** Returns the sysfs directories of the partitions of a disk, ordered by partition number. */
export function partitionsOf(reader: SystemReader, node: string): string[] {
  const folders = reader.list(node).filter((name) => reader.stat(`${node}/${name}`)?.kind === 'directory');
  const found = folders.filter((name) => reader.stat(`${node}/${name}/partition`) !== undefined);
  const number = (name: string) => Number(reader.read(`${node}/${name}/partition`));
  return found.sort((one, other) => number(one) - number(other)).map((name) => `${node}/${name}`);
}

/** Returns the size of a device in bytes. sysfs counts in units of 512 bytes, regardless of the sector size. */
export function sizeOf(reader: SystemReader, node: string): number {
  return Number(reader.read(`${node}/size`)) * 512;
}

/** Returns the tags (TYPE, UUID, PART_ENTRY_NAME, …) that blkid(8) reads from the device itself, without any cache. */
export async function probe(reader: SystemReader, device: string): Promise<Record<string, string>> {
  const { stdout } = await reader.run('/usr/sbin/blkid', ['-p', '-o', 'export', device]);
  return Object.fromEntries(
    stdout.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : [];
    }),
  );
}

/**
 * Describes the content of a device by the signatures on it, one phrase each. The result is empty if the device is
 * empty.
 * @param node its directory in sysfs
 */
export async function findContent(reader: SystemReader, node: string): Promise<string[]> {
  const device = deviceOf(node);
  const { stdout, ended } = await reader.run('/usr/sbin/wipefs', ['-p', device]);
  if (ended !== 'good') throw new SystemError(`/usr/sbin/wipefs could not read ${device}`);
  const found = [...new Set(stdout.split('\n').flatMap(describe))];
  if (found.length > 0) return found;
  const ends = [0, Math.max(0, sizeOf(reader, node) - mebibyte)];
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
