import type { Guest } from './guest.ts';
import { guestWith } from './step-table.ts';

/** The programs of every move of /home, and those that it needs for a whole disk. */
export const programs = [
  'usr/bin/rsync',
  'usr/bin/find',
  'usr/bin/lsattr',
  'usr/bin/flock',
  'usr/sbin/blkid',
];
export const forDisk = ['usr/sbin/wipefs', 'usr/sbin/parted', 'usr/sbin/mkfs.xfs'];

/** Returns an ordinary guest with these empty files. */
export const guestWithFiles = (files: readonly string[]): Guest =>
  guestWith(Object.fromEntries(files.map((file) => [file, ''])));

export const disk = '/dev/vdb';
export const uuid = '68f0dbf4-343f-4b2e-8199-63212c9d26fa';

/** Returns a guest whose /dev/vdb is empty or, if isMade, has our partition with a file system. */
export function guestWithDisk(isMade: boolean): Guest {
  const guest = guestWithFiles([...programs, ...forDisk]);
  guest.files['dev/vdb1'] = '';
  guest.files['dev/vdb'] = '\0'.repeat(1024 * 1024);
  const vdb = guest.devices.find(({ name }) => name === 'vdb');
  if (isMade && vdb !== undefined && !('on' in vdb)) vdb.partitions = { vdb1: '252:17' };
  const probed = `TYPE=xfs\nUUID=${uuid}\nPART_ENTRY_NAME=immutafs-home\n`;
  guest.answers.run = (program) => {
    if (program === '/usr/sbin/wipefs') return { stdout: '', ended: 'good' };
    return program === '/usr/sbin/blkid' ? { stdout: isMade ? probed : '', ended: 'good' } : undefined;
  };
  return guest;
}
