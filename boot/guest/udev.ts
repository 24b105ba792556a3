import { type Tag, tagsOf } from '../../agent/facts/disks/identities.ts';
import { propertiesOf, udevData } from '../../agent/facts/disks/udev-record.ts';
import { namesIfThere } from '../../agent/system/names.ts';
import { type BootReader, isBlock } from '../native/reader.ts';
import { type Early, programFile, uptime } from './command.ts';
import { kernelName } from './fstab.ts';

export interface UdevData {
  /** "major:minor" */
  number: string;
  /** ID_FS_TYPE, ID_FS_LABEL_ENC and ID_FS_UUID_ENC; empty if udev does not know them. */
  type: string;
  label: string;
  uuid: string;
  tags: Tag[];
  /** The links to the device. */
  links: string[];
}

/** Reads what udev knows about a device. @param name its kernel name */
export function readUdevData(reader: BootReader, name: string): UdevData {
  const number = reader.readIfPresent(`/sys/class/block/${name}/dev`)?.trim() ?? '';
  const text = reader.readIfPresent(`${udevData}/b${number}`) ?? '';
  const properties = propertiesOf(text);
  const value = (key: string) => properties.get(key) ?? '';
  return {
    number,
    type: value('ID_FS_TYPE'),
    label: value('ID_FS_LABEL_ENC'),
    uuid: value('ID_FS_UUID_ENC'),
    tags: tagsOf(properties),
    links: text
      .split('\n')
      .filter((line) => line.startsWith('S:'))
      .map((line) => `/dev/${line.slice(2)}`),
  };
}

/**
 * Waits until udev has processed its queue, so that its links are complete. udev loads drivers and waits for them, so all disks
 * have been detected by then. Starts no process if the queue is empty.
 * @returns false at the timeout
 */
export function settle({ native, reader, warn }: Early, seconds: number): boolean {
  const isBusy = () => reader.stat('/run/udev/queue') !== undefined;
  if (!isBusy()) return true;
  const udevadm = programFile(reader, 'udevadm') ?? '';
  const end = uptime(reader) + seconds;
  for (let now = uptime(reader); now < end; now = uptime(reader)) {
    if (native.run(udevadm, 'settle', `--timeout=${end - now}`) === undefined) break;
    // udevadm of systemd 219 also succeeds if udevd does not answer.
    if (!isBusy()) return true;
    native.sleep(1000);
  }
  warn(
    `udev is still busy after ${seconds} s; disks may be missing: see dmesg, and detach the disk that does not answer`,
  );
  return false;
}

/** The links of 66-immutafs-readonly.rules, which lead to devices on sealed disks, unless the name says otherwise. */
const folder = '/dev/block/immutafs';

export type Kind =
  | ('lvm' | 'read-only-lvm' | 'unsealed-lvm' | 'unsealed' | 'md')
  | ('by-uuid' | 'by-label' | 'by-partuuid' | 'by-partlabel')
  | `member/${string}`;

/** Whether there are such links. */
export function hasLinks(reader: BootReader, kind?: 'member'): boolean {
  return reader.stat(kind === undefined ? folder : `${folder}/${kind}`) !== undefined;
}

/** Returns the names of the links of a kind that lead to a block device. */
export function namesOf(reader: BootReader, kind: Kind): string[] {
  return namesIfThere(reader, `${folder}/${kind}`).filter((name) =>
    isBlock(reader.status(`${folder}/${kind}/${name}`)),
  );
}

/** Returns the kernel name of the device to which a link leads; undefined if there is none. */
export function deviceAt(reader: BootReader, kind: Kind, name: string): string | undefined {
  const link = `${folder}/${kind}/${name}`;
  if (name === '' || name.includes('/') || !isBlock(reader.status(link))) return undefined;
  return kernelName(reader, link);
}
