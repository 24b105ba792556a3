import { join } from 'node:path';
import type { BootFiles } from './kernel.ts';

/** `scsi-cd` is a CD-ROM drive on virtio-scsi. */
export type Bus = 'virtio-blk' | 'virtio-scsi' | 'scsi-cd' | 'ide-cd';

/** A disk image as QEMU attaches it. */
export interface Drive {
  /** The serial number by which the guest finds it in /dev/disk/by-id. */
  serial: string;
  file: string;
  format: 'raw' | 'qcow2';
  readOnly: boolean;
  bus: Bus;
  /** Whether QEMU reads and writes without the page cache of the host, as with libvirt's `cache='none'`. */
  direct?: boolean;
  /** Whether a discard in the guest frees space in the file, as libvirt's `discard='unmap'`. */
  unmap?: boolean;
  /** QEMU's name of a second path to the same file, which has the same serial number. */
  pathId?: string;
  /** The position in the boot order that the firmware receives from the host, as libvirt's `<boot order='N'/>`. */
  bootIndex?: number;
  /** How the disk fails in this boot. */
  fault?: Fault;
}

/** The host reports an I/O error for each read or write, or writes hang after this number of bytes. */
export type Fault = { errors: 'read' | 'write' } | { hangsAfterBytes: number };

/** A virtual machine. */
export interface Machine {
  /** null: the firmware chooses a disk and starts its boot loader. */
  boot: BootFiles | null;
  arguments: string[];
  drives: Drive[];
  memoryMiB: number;
  /**
   * The number of virtual processors. Two guests run at a time on two processors: with two virtual processors each, two
   * guests need a quarter more time, because they wait for locks that a stopped one holds.
   */
  processors: number;
  /** Whether the processor has instructions for AES, as that of a usual host. */
  aes?: boolean | undefined;
  /** With `counted`, each instruction takes 1 ns of guest time, so that measurements are repeatable. */
  time: 'real' | 'counted';
  /** Whether the machine resumes a system, whose clock continues (`isClockTooFast`). */
  resumes?: boolean | undefined;
  /** Keeps data that the guest has flushed even if QEMU is killed. This makes the machine slower. */
  durable: boolean;
  /** PID of a process whose network namespace QEMU joins; its loopback is 10.0.2.2 in the guest. Default: no network. */
  networkOf?: number | undefined;
  /** Variable store of the UEFI firmware, kept between boots (`harness/efi.ts`). Default: BIOS. */
  efiVariables?: string | undefined;
  /** The UUID in the SMBIOS tables, which libvirt sets to that of the domain. */
  uuid?: string | undefined;
  /** The path of a Unix socket by which one can type on the console (`harness/console.ts`). Default: nobody types. */
  consoleSocket?: string | undefined;
  /** The path of a Unix socket with QEMU's monitor (`harness/monitor.ts`). Default: none. */
  monitor?: string | undefined;
  /** The names of further virtio-serial ports, and the paths of their Unix sockets, as libvirt gives them to a domain. */
  ports?: Record<string, string> | undefined;
}

/**
 * QEMU's environment. The emulator's tables are in huge pages, which saves a tenth of the processor time of a boot
 * (glibc manual, Memory Allocation Tunables).
 */
export const emulatorEnvironment = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' };

/**
 * Returns the QEMU command line of a machine without KVM.
 *
 * The guest's console, ttyS0, is written to `console` in `folder`. The scenario's report has a separate virtio port,
 * which is QEMU's stdout, because an emulated UART needs a minute for half a megabyte. setpriv(1) makes the kernel end
 * QEMU when this process ends, even if this process is killed.
 */
export function qemuCommand(machine: Machine, folder: string): string[] {
  const { boot, memoryMiB, drives, durable, networkOf } = machine;
  return [
    ...(networkOf === undefined ? [] : ['nsenter', `--net=/proc/${networkOf}/ns/net`, '--']),
    ...['setpriv', '--pdeathsig', 'KILL', '--'],
    ...['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ...['-machine', 'pc,hpet=off,usb=off,vmport=off'],
    ...(machine.efiVariables === undefined ? [] : firmware(machine.efiVariables)),
    ...(machine.uuid === undefined ? [] : ['-uuid', machine.uuid]),
    ...processor(machine),
    ...['-m', String(memoryMiB)],
    ...['-chardev', consoleDevice(machine, join(folder, 'console')), '-serial', 'chardev:console'],
    ...['-chardev', 'stdio,id=report,signal=off', '-device', 'virtio-serial-pci'],
    ...['-device', 'virtserialport,chardev=report,name=vmtest'],
    ...Object.entries(machine.ports ?? {}).flatMap(port),
    ...(machine.monitor === undefined ? [] : ['-qmp', `unix:${machine.monitor},server=on,wait=off`]),
    ...(boot === null
      ? []
      : ['-kernel', boot.kernel, '-initrd', boot.initramfs, '-append', machine.arguments.join(' ')]),
    ...(drives.some(({ bus }) => bus === 'virtio-scsi' || bus === 'scsi-cd')
      ? ['-device', 'virtio-scsi-pci,id=scsi']
      : []),
    ...drives.flatMap((drive) => attach(drive, durable)),
    ...(networkOf === undefined ? [] : networkCard),
  ];
}

function consoleDevice({ consoleSocket }: Machine, file: string): string {
  if (consoleSocket === undefined) return `file,id=console,path=${file}`;
  return `socket,id=console,path=${consoleSocket},server=on,wait=off,logfile=${file}`;
}

/** Returns the arguments for Debian's OVMF: the firmware, read-only, and its variable store. */
function firmware(variables: string): string[] {
  const code = '/usr/share/OVMF/OVMF_CODE_4M.fd';
  return [
    ...['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${code}`],
    ...['-drive', `if=pflash,unit=1,format=raw,file=${variables}`],
  ];
}

function port([name, socket]: [string, string], index: number): string[] {
  return [
    ...['-chardev', `socket,id=port${index},path=${socket},server=on,wait=off`],
    ...['-device', `virtserialport,chardev=port${index},name=${name}`],
  ];
}

/** A network card in QEMU's user-mode network (qemu(1), -netdev user), without a boot ROM. */
const networkCard = ['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile='];

/** A CPU with x86-64-v2, the minimum for RHEL 9. AVX would make an emulated guest slower. */
const cpu = 'Nehalem,+rdrand';

function processor({ time, processors, aes }: Machine): string[] {
  if (time === 'real') {
    const model = aes === true ? `${cpu},+aes` : cpu;
    return ['-accel', 'tcg,thread=multi', '-cpu', model, '-smp', String(processors)];
  }
  return [
    ...['-accel', 'tcg,thread=single', '-cpu', cpu, '-smp', '1', '-seed', '1'],
    ...['-icount', 'shift=0,sleep=on', '-rtc', 'base=2030-01-01T00:00:00,clock=vm'],
  ];
}

/** QEMU's devices. */
const devices: Record<Bus, string> = {
  'virtio-blk': 'virtio-blk-pci',
  'virtio-scsi': 'scsi-hd',
  'scsi-cd': 'scsi-cd',
  'ide-cd': 'ide-cd',
};

function attach(drive: Drive, durable: boolean): string[] {
  const { serial, format, readOnly, bus, bootIndex, pathId: id = serial } = drive;
  const cache = drive.direct === true ? 'none' : durable ? 'writeback' : 'unsafe';
  // Without a lock, the file can be open for the first path and for the second one.
  const lock = drive.pathId === undefined ? '' : ',file.locking=off';
  const unmap = drive.unmap === true ? ',discard=unmap' : '';
  const index = bootIndex === undefined ? '' : `,bootindex=${bootIndex}`;
  return [
    ...[
      '-drive',
      `if=none,id=${id},${fileOf(drive)},format=${format},cache=${cache},readonly=${onOff(readOnly)}${lock}${unmap}`,
    ],
    ...['-device', `${devices[bus]},drive=${id},serial=${serial}${index}`],
  ];
}

/** Returns the options of a drive for its file, and for its fault (QEMU documentation: blkdebug, throttle). */
function fileOf({ file, fault }: Drive): string {
  if (fault === undefined) return `file=${file}`;
  if ('hangsAfterBytes' in fault)
    return `file=${file},throttling.bps-write=1,throttling.bps-write-max=${fault.hangsAfterBytes}`;
  return `file.driver=blkdebug,file.image.filename=${file},file.inject-error.0.event=${fault.errors}_aio,file.inject-error.0.errno=5`;
}

function onOff(value: boolean): string {
  return value ? 'on' : 'off';
}
