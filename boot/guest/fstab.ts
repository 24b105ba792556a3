import { fileOfSource } from '../../agent/facts/disks/source-files.ts';
import { fieldsOfFstab, plainTarget } from '../../agent/facts/mounts/fstab-fields.ts';
import { unlessAbsent, unlessSystemError } from '../../agent/lib/errors.ts';
import { unescapeBytes } from '../../agent/lib/octal.ts';
import { baseName } from '../../agent/lib/paths.ts';
import { type BootReader, isBlock } from '../native/reader.ts';
import { type Disks, disksOfDevice } from './disks.ts';

/**
 * A line of fstab(5), one character per byte. Lines that mount(8) rejects are there, too, because systemd reads fstab with
 * getmntent(3), which accepts them.
 */
export interface FstabLine {
  /** As written. */
  source: string;
  /** Without escapes and redundant slashes. */
  target: string;
  /** As written; empty if absent. */
  type: string;
  /** As written, separated by commas; empty if absent. */
  options: string;
  /** Whether the source is a device. */
  isDevice: boolean;
}

/** Reads fstab. Returns no lines if the file does not exist. @throws SystemError if it cannot be read */
export function readFstab(reader: BootReader, file = '/etc/fstab'): FstabLine[] {
  return fieldsOfFstab(reader.readIfPresent(file) ?? '').map(({ fields }) => {
    const [source = '', target = '', type = '', options = ''] = fields;
    const isDevice = isDeviceSource(source);
    return { source, target: plainTarget(unescapeBytes(target)), type, options, isDevice };
  });
}

/** Whether the source of a line of fstab or of root= is a device. */
export function isDeviceSource(source: string): boolean {
  return /^(?:\/dev\/|(?:UUID|LABEL|PARTUUID|PARTLABEL)=)/.test(source);
}

/** Returns the last line that mounts a block device at a target. */
export function deviceLineOf(lines: readonly FstabLine[], target: string): FstabLine | undefined {
  return lines.findLast((line) => line.isDevice && line.target === target);
}

/** Whether a line has one of these options, as written. */
export function hasOption({ options }: Pick<FstabLine, 'options'>, ...names: readonly string[]): boolean {
  return options.split(',').some((option) => names.includes(option));
}

/** Whether systemd mounts the line at its first use. */
export function isAutomount(line: Pick<FstabLine, 'options'>): boolean {
  return hasOption(line, 'x-systemd.automount', 'comment=systemd.automount');
}

/**
 * The device file of a source. If a sealed disk has the identity that the source names, that of the device on this disk,
 * because the link in /dev/disk may point to a copy (66-immutafs-readonly.rules). The name is that of the kernel, because
 * systemd has no device unit for the link of the sealed disk.
 */
export interface SourceFile {
  file: string;
  /** The link of the sealed disk; undefined if there is none. */
  sealedLink: string | undefined;
  /** What the source names itself. */
  usual: string;
}

/** @param source as in fstab, with escapes */
export function sourceFile(reader: BootReader, source: string): SourceFile {
  const plain = unescapeBytes(source);
  const usual = fileOfSource(plain) ?? plain;
  const [, identity] = /^\/dev\/disk\/(by-(?:uuid|label|partuuid|partlabel)\/[^]+)/.exec(usual) ?? [];
  const link = `/dev/block/immutafs/${identity}`;
  if (identity === undefined || !isBlock(reader.status(link)))
    return { file: usual, sealedLink: undefined, usual };
  const name = kernelName(reader, link);
  return { file: name === undefined ? link : `/dev/${name}`, sealedLink: link, usual };
}

/** Returns the name that the kernel has for a block device or a link to one; undefined if it has none. */
export function kernelName(reader: BootReader, file: string): string | undefined {
  const name = unlessAbsent(() => baseName(reader.resolve(file)));
  return name !== undefined && reader.status(`${classDirectory}/${name}`) !== undefined ? name : undefined;
}

const classDirectory = '/sys/class/block';

/**
 * Returns the disks below the device of a source; undefined if the device does not exist, or if its disks are unknown, so
 * that it does not count as read-only.
 * @param source as in fstab, with escapes
 */
export function disksOfSource(reader: BootReader, source: string): (Disks & { file: string }) | undefined {
  const { file } = sourceFile(reader, source);
  if (!isBlock(reader.status(file))) return undefined;
  const name = kernelName(reader, file);
  if (name === undefined) return undefined;
  return unlessSystemError(() => ({
    ...disksOfDevice(reader, `${classDirectory}/${name}`),
    file: `/dev/${name}`,
  }));
}
