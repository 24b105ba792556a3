import { join } from 'node:path';
import type { BootFiles } from './kernel.ts';

export type Bus = 'virtio-blk' | 'virtio-scsi';

/** A disk image as QEMU attaches it. */
export interface Drive {
  /** The serial number by which the guest finds it in /dev/disk/by-id. */
  serial: string;
  file: string;
  format: 'raw' | 'qcow2';
  readOnly: boolean;
  bus: Bus;
}

/** A machine to be run. */
export interface Machine {
  boot: BootFiles;
  arguments: string[];
  drives: Drive[];
  memoryMiB: number;
  processors: number;
  /** `counted`: one instruction takes one nanosecond of the guest's time, so that measurements repeat. */
  time: 'real' | 'counted';
  /** Keeps what the guest flushed also if QEMU is killed; slower. */
  durable: boolean;
  /** The process in whose network namespace QEMU runs: its loopback is 10.0.2.2 to the guest. None: no network. */
  networkOf?: number | undefined;
  /** The file with the variables of an UEFI firmware; what the guest writes to them stays there. None: BIOS. */
  efiVariables?: string | undefined;
}

/**
 * The command line of a machine without KVM.
 *
 * ttyS0, the guest's console, goes to `console` in `folder`; the scenario's report, to QEMU's stdout. The latter
 * has a virtio port: an emulated UART takes a minute for half a megabyte, and nobody else writes to the port.
 * setpriv(1) has the kernel end QEMU when this process ends, however it ends.
 */
export function qemuCommand(machine: Machine, folder: string): string[] {
  const { boot, memoryMiB, drives, durable, networkOf } = machine;
  return [
    ...(networkOf === undefined ? [] : ['nsenter', `--net=/proc/${networkOf}/ns/net`, '--']),
    ...['setpriv', '--pdeathsig', 'KILL', '--'],
    ...['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ...['-machine', 'pc,hpet=off,usb=off,vmport=off'],
    ...(machine.efiVariables === undefined ? [] : firmware(machine.efiVariables)),
    ...processor(machine),
    ...['-m', String(memoryMiB)],
    ...['-chardev', `file,id=console,path=${join(folder, 'console')}`, '-serial', 'chardev:console'],
    ...['-chardev', 'stdio,id=report,signal=off', '-device', 'virtio-serial-pci'],
    ...['-device', 'virtserialport,chardev=report,name=vmtest'],
    ...['-kernel', boot.kernel, '-initrd', boot.initramfs, '-append', machine.arguments.join(' ')],
    ...(drives.some(({ bus }) => bus === 'virtio-scsi') ? ['-device', 'virtio-scsi-pci,id=scsi'] : []),
    ...drives.flatMap((drive) => attach(drive, durable)),
    ...(networkOf === undefined ? [] : networkCard),
  ];
}

/** Debian's OVMF: the program, which the guest cannot write to, and the variables. */
function firmware(variables: string): string[] {
  const code = '/usr/share/OVMF/OVMF_CODE_4M.fd';
  return [
    ...['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${code}`],
    ...['-drive', `if=pflash,unit=1,format=raw,file=${variables}`],
  ];
}

/** In QEMU's user-mode network (qemu(1), -netdev user); without the card's own boot program. */
const networkCard = ['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile='];

/** What RHEL 9 asks of a processor, x86-64-v2: with AVX an emulated guest is slower, not quicker. */
const cpu = 'Nehalem,+rdrand';

function processor({ time, processors }: Machine): string[] {
  if (time === 'real') {
    return ['-accel', 'tcg,thread=multi', '-cpu', cpu, '-smp', String(processors)];
  }
  return [
    ...['-accel', 'tcg,thread=single', '-cpu', cpu, '-smp', '1', '-seed', '1'],
    ...['-icount', 'shift=0,sleep=on', '-rtc', 'base=2030-01-01T00:00:00,clock=vm'],
  ];
}

function attach({ serial, file, format, readOnly, bus }: Drive, durable: boolean): string[] {
  const cache = durable ? 'writeback' : 'unsafe';
  const device = bus === 'virtio-blk' ? 'virtio-blk-pci' : 'scsi-hd';
  return [
    ...[
      '-drive',
      `if=none,id=${serial},file=${file},format=${format},cache=${cache},readonly=${onOff(readOnly)}`,
    ],
    ...['-device', `${device},drive=${serial},serial=${serial}`],
  ];
}

function onOff(value: boolean): string {
  return value ? 'on' : 'off';
}
