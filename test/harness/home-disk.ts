import { type ProgressMarker, formatMarker } from '../../agent/prepare/home/progress-marker.ts';
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

/** Returns a guest whose /dev/vdb has a progress marker and, if isFormatted, our partition with a file system. */
export function guestWithDisk(
  marker: Omit<ProgressMarker, 'seconds'> | undefined,
  isFormatted: boolean,
): Guest {
  const guest = guestWithFiles([...programs, ...forDisk]);
  guest.files['dev/vdb1'] = '';
  const text = marker === undefined ? '' : formatMarker({ ...marker, seconds: 1 });
  guest.files['dev/vdb'] = `${'\0'.repeat(512 * 1024)}${text}`;
  const vdb = guest.devices.find(({ name }) => name === 'vdb');
  if (isFormatted && vdb !== undefined && !('on' in vdb)) vdb.partitions = { vdb1: '252:17' };
  const probed = `TYPE=xfs\nUUID=${uuid}\nPART_ENTRY_NAME=immutafs-home\n`;
  guest.answers.run = (program) => {
    if (program === '/usr/sbin/wipefs') return { stdout: '', ended: 'good' };
    return program === '/usr/sbin/blkid' ? { stdout: isFormatted ? probed : '', ended: 'good' } : undefined;
  };
  return guest;
}
