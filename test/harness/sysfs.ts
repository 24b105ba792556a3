import fs from 'node:fs';
import path from 'node:path';
import { type Bus, type BusDevice, buses } from './buses.ts';

/** A disk and its partitions; device numbers are "major:minor". */
export interface DiskFixture {
  name: string;
  device: string;
  bus: Bus;
  /** The read-only flag of the block device. */
  readOnly?: boolean;
  /** Whether the host offers VIRTIO_BLK_F_RO (virtio-blk). */
  offered?: boolean;
  partitions?: Record<string, string>;
  /** The vendor of a SCSI device. */
  vendor?: string;
}

/** A device-mapper or md device. */
export interface StackFixture {
  name: string;
  device: string;
  /** Names of the devices directly below it. */
  on: readonly string[];
  readOnly?: boolean;
  /** The device's name and UUID in device-mapper. */
  dm?: { name: string; uuid: string };
  /** The target with which the content of a device-mapper device may differ; linear by default. */
  target?: string;
  /** The level and the number of missing members of an md array; raid1 and 0 by default. */
  md?: { level: string; degraded: string };
}

/** Creates the sysfs entries of block devices below `root`/sys (Documentation/ABI/stable/sysfs-block). */
export function makeSysfs(root: string, devices: readonly (DiskFixture | StackFixture)[]): void {
  for (const folder of ['dev/block', 'class/block', 'block']) {
    fs.mkdirSync(path.join(root, 'sys', folder), { recursive: true });
  }
  devices.forEach((device, index) => {
    if ('on' in device) makeStack(root, device);
    else makeDisk(root, device, index);
  });
  makeTables(root, devices);
}

/**
 * Writes the tables of the device-mapper devices, each with one target, for boot-program-main.ts, and a program that prints
 * what `immutafs-boot tables` prints.
 */
function makeTables(root: string, devices: readonly (DiskFixture | StackFixture)[]): void {
  const stacks = devices.filter(
    (device) => 'on' in device && device.name.startsWith('dm-'),
  ) as StackFixture[];
  const lines = stacks.map(({ device, target }) => `${device}${target === undefined ? '' : ` ${target}`}\n`);
  const folder = path.join(root, 'usr/libexec/immutafs');
  fs.mkdirSync(folder, { recursive: true });
  const tables = stacks.map(({ device, target = 'linear' }) => `${device} ${target}\n`);
  fs.writeFileSync(path.join(folder, 'device-tables'), tables.join(''));
  const program = `#!/bin/sh\ncat <<EOT\n${lines.join('')}EOT\n`;
  fs.writeFileSync(path.join(folder, 'immutafs-boot'), program, { mode: 0o755 });
}

function makeDisk(root: string, disk: DiskFixture, index: number): void {
  const { folder, drivers }: BusDevice = buses[disk.bus];
  const parent = `devices/${folder.replace('virtioN', `virtio${index}`)}`;
  const node = `${parent}/block/${disk.name}`;
  const readOnly = disk.readOnly === true || disk.offered === true;
  makeNode(root, node, disk.name, disk.device, readOnly);
  link(root, `block/${disk.name}`, node);
  fs.symlinkSync('../..', path.join(root, 'sys', node, 'device'));
  makeDrivers(root, parent, drivers);
  if (disk.vendor !== undefined) write(root, `${parent}/vendor`, `${disk.vendor.padEnd(8)}\n`);
  if (drivers['virtio'] === 'virtio_blk') {
    const bits = Array.from({ length: 64 }, (_, bit) => ([1, 2, 6, 9, 32].includes(bit) ? '1' : '0'));
    bits[5] = disk.offered === true ? '1' : '0';
    write(root, `${parent}/features`, `${bits.join('')}\n`);
  }
  for (const [name, device] of Object.entries(disk.partitions ?? {})) {
    makeNode(root, `${node}/${name}`, name, device, readOnly);
    write(root, `${node}/${name}/partition`, `${name.replace(/^.*?(\d+)$/, '$1')}\n`);
  }
}

/** Writes the name of the driver of each device, and of each SCSI host. */
function makeDrivers(root: string, parent: string, drivers: BusDevice['drivers']): void {
  const parts = parent.split('/');
  parts.forEach((part, index) => {
    const folder = parts.slice(0, index + 1).join('/');
    const [found] = Object.entries(drivers).filter(([key]) => part.includes(key));
    if (found === undefined) return;
    const [key, driver] = found;
    if (key === 'host') write(root, `${folder}/scsi_host/${part}/proc_name`, `${driver}\n`);
    else write(root, `${folder}/uevent`, `DRIVER=${driver}\n`);
  });
}

function makeStack(root: string, stack: StackFixture): void {
  const node = `devices/virtual/block/${stack.name}`;
  makeNode(root, node, stack.name, stack.device, stack.readOnly === true);
  link(root, `block/${stack.name}`, node);
  const { dm, md = { level: 'raid1', degraded: '0' } } = stack;
  if (stack.name.startsWith('dm-')) write(root, `${node}/dm/suspended`, '0\n');
  for (const [key, text] of Object.entries(dm ?? {})) write(root, `${node}/dm/${key}`, `${text}\n`);
  for (const [key, text] of Object.entries(stack.name.startsWith('md') ? md : {})) {
    write(root, `${node}/md/${key}`, `${text}\n`);
  }
  for (const below of stack.on) {
    const name = path.join(root, 'sys/class/block', below);
    // The kernel keeps the link to a disk that was removed.
    const target = fs.existsSync(name) ? fs.realpathSync(name) : path.join(root, 'sys/devices/pci', below);
    fs.symlinkSync(
      path.relative(path.join(root, 'sys', node, 'slaves'), target),
      path.join(root, 'sys', node, 'slaves', below),
    );
  }
}

function makeNode(root: string, node: string, name: string, device: string, readOnly: boolean): void {
  fs.mkdirSync(path.join(root, 'sys', node, 'slaves'), { recursive: true });
  const [major = '', minor = ''] = device.split(':');
  write(root, `${node}/uevent`, `MAJOR=${major}\nMINOR=${minor}\nDEVNAME=${name}\nDEVTYPE=disk\n`);
  write(root, `${node}/dev`, `${device}\n`);
  // In units of 512 bytes: 10 GiB.
  write(root, `${node}/size`, '20971520\n');
  write(root, `${node}/ro`, readOnly ? '1\n' : '0\n');
  link(root, `dev/block/${device}`, node);
  link(root, `class/block/${name}`, node);
}

function link(root: string, from: string, to: string): void {
  const file = path.join(root, 'sys', from);
  fs.rmSync(file, { force: true });
  fs.symlinkSync(path.relative(path.dirname(from), to), file);
}

function write(root: string, file: string, text: string): void {
  const whole = path.join(root, 'sys', file);
  fs.mkdirSync(path.dirname(whole), { recursive: true });
  fs.writeFileSync(whole, text);
}
