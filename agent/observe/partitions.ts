import path from 'node:path';
import { errorCode } from '../errors.ts';
import type { Host } from '../host.ts';
import { describeDisk } from './disks.ts';
import type { Evidence } from './evidence.ts';

/** A partition as udev's database describes it. */
export interface Partition {
  /** Kernel name: vdb1. */
  name: string;
  /** The disk that it is on. */
  disk: string;
  /** ID_PART_ENTRY_UUID in lower case; empty without one. */
  id: string;
  /** A firmware looks for a boot loader in it: an EFI system partition, or one that an MBR marks as active. */
  bootable: boolean;
  /** The host lets the guest write to its disk. Unknown counts as read-only: host-enforced says so. */
  writable: boolean;
}

/** So many devices that a guest with more is not slowed down. */
const mostDevices = 512;
const efiSystem = /^(c12a7328-f81f-11d2-ba4b-00a0c93ec93b|0xef)$/i;

/**
 * All partitions of all disks, mounted or not. Reads sysfs and /run/udev/data (systemd-udevd.service(8)); no disk.
 * @param remembered what the last report of this boot said of a disk, by name
 */
export function findPartitions(host: Host, remembered: (name: string) => Evidence | undefined): Partition[] {
  const writable = new Map<string, boolean>();
  const isWritable = (node: string): boolean => {
    const known = writable.get(node);
    if (known !== undefined) return known;
    const found = describeDisk(host, node, remembered).hostReadOnly === false;
    writable.set(node, found);
    return found;
  };
  const folder = '/sys/class/block';
  if (host.stat(folder) === undefined) return [];
  return host
    .list(folder)
    .slice(0, mostDevices)
    .flatMap((name) => {
      const node = host.resolve(`${folder}/${name}`);
      if (host.stat(`${node}/partition`) === undefined) return [];
      const disk = path.dirname(node);
      const udev = readUdev(host, host.read(`${node}/dev`, 64).trim());
      const bootable =
        efiSystem.test(udev.get('ID_PART_ENTRY_TYPE') ?? '') || udev.get('ID_PART_ENTRY_FLAGS') === '0x80';
      const id = (udev.get('ID_PART_ENTRY_UUID') ?? '').toLowerCase();
      return [{ name, disk: path.basename(disk), id, bootable, writable: isWritable(disk) }];
    });
}

/** The properties of a block device: lines "E:NAME=value". */
function readUdev(host: Host, device: string): Map<string, string> {
  const properties = new Map<string, string>();
  for (const line of udevText(host, device).split('\n')) {
    const [, name, value] = /^E:(\w+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) properties.set(name, value);
  }
  return properties;
}

function udevText(host: Host, device: string): string {
  try {
    return host.read(`/run/udev/data/b${device}`, 65536);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
}
