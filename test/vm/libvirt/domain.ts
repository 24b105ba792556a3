import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { imagesIn } from '../harness/disk.ts';
import { emulatorEnvironment } from '../harness/qemu.ts';
import { type Hypervisor, defineXml } from './hypervisor.ts';

/** A domain as an administrator defines it, with changes that make an emulated machine fast. */
export interface DomainOptions {
  name: string;
  /** The folder with the images `system.raw` and `home.raw`. libvirt writes the console to `console` in this folder. */
  folder: string;
  /** The boot loader, which boots from the guest's /boot. If null, the domain has nothing to boot. */
  loader: string | null;
  /** The format of the system disk; by default `system.raw`, else `system.qcow2`. */
  systemFormat?: 'raw' | 'qcow2';
  /** The format of the disk for /home; by default `home.raw`, else `home.qcow2`. */
  homeFormat?: 'raw' | 'qcow2';
  /** The disks' targets; by default on virtio. `sda` is on SATA, or on virtio-scsi if `devices` has such a controller. */
  targets?: [string, string];
  /** The program that libvirt starts; by default QEMU. */
  emulator?: string;
  /** Further elements of <os>, such as a UEFI loader. */
  firmware?: string;
  /** Further elements of <devices>. */
  devices?: string;
  /** Whether the host can take memory from the running domain. */
  balloon?: boolean;
  /** Whether the address 10.0.2.2 in the guest is the loopback of this machine; by default the guest reaches nothing. */
  reachesHost?: boolean;
  /** The port of 127.0.0.1 that is forwarded to the guest's sshd. */
  port: number;
  memoryMiB: number;
}

/** A controller for `devices`. */
export const virtioScsi = "<controller type='scsi' model='virtio-scsi'/>";

/** Defines a domain with writable disks, without starting the domain. */
export async function defineDomain(host: Hypervisor, options: DomainOptions): Promise<void> {
  await defineXml(host, domainXml(options), '--validate');
}

function domainXml({ name, folder, loader, port, memoryMiB, ...rest }: DomainOptions): string {
  const { system, home } = imagesIn(folder);
  const {
    targets = ['vda', 'vdb'],
    emulator = '/usr/bin/qemu-system-x86_64',
    firmware = '',
    systemFormat = 'raw',
    homeFormat = 'raw',
    devices = '',
    balloon = false,
    reachesHost = false,
  } = rest;
  const environment = Object.entries(emulatorEnvironment)
    .map(([key, value]) => `<qemu:env name='${key}' value='${value}'/>`)
    .join('');
  const kernel = loader === null ? '' : `<kernel>${loader}</kernel>`;
  return `<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>${name}</name>
  <memory unit='MiB'>${memoryMiB}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>${kernel}${firmware}</os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact'><model>Nehalem</model><feature policy='require' name='rdrand'/></cpu>
  <devices>
    <emulator>${emulator}</emulator>
    ${disk(system.replace(/raw$/, systemFormat), targets[0], systemFormat, devices)}
    ${disk(home.replace(/raw$/, homeFormat), targets[1], homeFormat, devices)}
    <controller type='usb' model='none'/>
    <serial type='file'><source path='${join(folder, 'console')}' append='on'/><target port='0'/></serial>
    <graphics type='vnc' port='-1' passwd='secret'/>
    <video><model type='none'/></video>
    <memballoon model='${balloon ? 'virtio' : 'none'}'/>
    ${devices}
  </devices>
  <qemu:commandline>
    <qemu:arg value='-netdev'/>
    <qemu:arg value='user,id=ssh,restrict=${reachesHost ? 'off' : 'on'},hostfwd=tcp:127.0.0.1:${port}-10.0.2.15:22'/>
    <qemu:arg value='-device'/>
    <qemu:arg value='virtio-net-pci,netdev=ssh,romfile=,addr=0x10'/>
    ${environment}
  </qemu:commandline>
</domain>
`;
}

function disk(file: string, target: string, format: string, devices: string): string {
  const bus = target.startsWith('vd') ? 'virtio' : devices.includes(virtioScsi) ? 'scsi' : 'sata';
  return `<disk type='file' device='disk'>
      <driver name='qemu' type='${format}' cache='unsafe'/>
      <source file='${file}'/>
      <target dev='${target}' bus='${bus}'/>
    </disk>`;
}

/** Converts `system.raw` or `home.raw` in a folder to qcow2. */
export async function asQcow2(folder: string, image: 'system' | 'home' = 'system'): Promise<void> {
  const { [image]: from } = imagesIn(folder);
  const to = from.replace(/raw$/, 'qcow2');
  await execa('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', from, to]);
  await rm(from);
}

/**
 * Builds GRUB in the form of a Linux kernel, which QEMU starts from a file. GRUB reads the kernel and the initramfs
 * from the guest's /boot, so the files of an update are booted, and the image needs no boot sector.
 */
export async function makeLoader(folder: string): Promise<string> {
  const [early, core, loader] = ['grub.cfg', 'core.img', 'grub'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(early, 'search --no-floppy --set=root --file /immutafs.cfg\nsource /immutafs.cfg\nboot\n');
  const modules = [
    'biosdisk',
    'part_gpt',
    'ext2',
    'linux',
    'search',
    'search_fs_file',
    'normal',
    'configfile',
  ];
  const format = ['--format', 'i386-pc', '--prefix', ''];
  await execa('grub-mkimage', [...format, '--output', core, '--config', early, ...modules]);
  await execa('sh', ['-c', 'cat /usr/lib/grub/i386-pc/lnxboot.img "$1" >"$2"', 'sh', core, loader]);
  return loader;
}

/** Returns a port of 127.0.0.1 that is not in use. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
