/** The LVM configuration of this boot. */
import { onFile, unlessSystemError } from '../../agent/lib/errors.ts';
import { noteImpostor } from '../guest/boot-env.ts';
import { isOff } from '../guest/boot-state.ts';
import { type Early, programFile } from '../guest/command.ts';
import { disksOfDevice } from '../guest/disks.ts';
import { type FstabLine, sourceFile } from '../guest/fstab.ts';
import { settle } from '../guest/udev.ts';
import { isBlock } from '../native/reader.ts';
import {
  activateSealedGroups,
  findLvmImpostors,
  hasSealedVolumes,
  readOnlyGroups,
  splitVolumeName,
  unsealedVolumes,
} from './lvm.ts';

const folder = '/run/immutafs';
export const lvmlocal = `${folder}/lvmlocal.conf`;
/** The setting of lvm.conf(5) that rejects the impostors of sealed physical volumes. */
const filterFile = `${folder}/lvm-filter`;
/** The groups that are activated read-only, one per line. */
const groupsFile = `${folder}/lvm-read-only`;
const own = '/etc/lvm/lvmlocal.conf';

/**
 * Configures LVM in the initramfs before it activates volumes:
 * - volume groups on a read-only SCSI disk are activated read-only, because the kernel rejects a writable table on such a disk
 *   (drivers/md/dm-table.c);
 * - physical volumes on writable disks that pose as sealed physical volumes are ignored.
 * The configuration of the real root has the same settings (bindLocalConfig).
 */
export function configureLvm(boot: Early): void {
  const { native, reader } = boot;
  if (programFile(reader, 'lvm') === undefined) return;
  for (const directory of [folder, '/etc', '/etc/lvm']) native.makeDirectory(directory);
  // The original file is kept, because this runs again at later events.
  const original = `${folder}/lvmlocal.initramfs`;
  if (reader.stat(original) === undefined) write(boot, original, reader.readIfPresent(own) ?? '');
  if (!isOff(reader) && hasSealedVolumes(reader)) rejectImpostors(boot);
  const groups = readOnlyGroups(boot);
  if (groups.length === 0 && reader.stat(filterFile) === undefined) return;
  const text = localConfig(boot, reader.read(original), groups) + withoutDevicesFile(boot, '');
  write(boot, own, text);
  // Without this file, writeLocalConfig lists the active volumes. Only SCSI disks need a list before activation.
  if (groups.length > 0) write(boot, groupsFile, groups.map((group) => `${group}\n`).join(''));
  else native.remove(groupsFile);
}

function write({ native }: Early, file: string, text: string): void {
  onFile(file, () => native.write(file, text));
}

/** Writes the patterns that reject the impostors among the unsealed volumes, if there are any. */
function rejectImpostors(boot: Early): void {
  if (unsealedVolumes(boot).length === 0) return;
  // udev makes the links of a device one after the other, and then writes its entry in the database.
  settle(boot, 60);
  const found = findLvmImpostors(boot);
  if (found.length === 0) return;
  for (const impostor of found) noteImpostor(boot, impostor);
  const patterns = found.flatMap(({ device, links }) => [device, ...links.filter(isOwnName)]);
  const rejected = patterns.map((name) => `"r|^${escapePattern(name)}$|"`);
  write(boot, filterFile, `${rejecting(boot, rejected)}\n`);
}

/**
 * Returns the setting that adds patterns to a configured filter. LVM uses a device if both filters accept it (lvm.conf(5)). A filter
 * that accepts names may accept a link to the impostor that is not known here, so the patterns are added to the other. If both
 * filters accept names, `filter` is replaced.
 */
function rejecting(boot: Early, rejected: readonly string[]): string {
  for (const name of ['global_filter', 'filter']) {
    const configured = configuredFilter(boot, name);
    if (!configured.includes('"a'))
      return `${name} = [ ${[...rejected, configured].filter((part) => part !== '').join(', ')} ]`;
  }
  return `filter = [ ${rejected.join(', ')} ]`;
}

/**
 * Whether a link can lead to no other device. LVM uses a device if the filter accepts any of its names, and ignores a device if
 * the filter rejects a name and accepts none (lvm2, lib/filters/filter-regex.c). A link by UUID or label may lead to the sealed
 * device.
 */
function isOwnName(link: string): boolean {
  return !/\/by-(?:uuid|label)\/|\/by-part|\/lvm-pv-uuid-|^\/dev\/block\/immutafs\//.test(link);
}

/** Returns a regular expression of LVM that matches the path. `.` replaces each character that may be special. */
function escapePattern(path: string): string {
  return path.replace(/[^\w/-]/g, '.');
}

/** Returns the items of a filter that is configured. */
function configuredFilter({ native, reader }: Early, name: string): string {
  const program = programFile(reader, 'lvm') ?? '';
  const text = native.output(program, 'dumpconfig', `devices/${name}`) ?? '';
  const [, items, item = ''] = /=[^]*?\[([^]*)\]\s*$|=([^]*)/.exec(text) ?? [];
  return (items ?? item).trim();
}

/**
 * Returns the content of lvmlocal.conf(5). If a section occurs twice, LVM merges both and uses the later value (libdm,
 * _find_or_make_node).
 * @param existing the existing file, with which it begins
 * @param volumes entries of read_only_volume_list
 */
function localConfig({ reader }: Early, existing: string, volumes: readonly string[]): string {
  const filter = reader.readIfPresent(filterFile)?.split('\n', 1)[0];
  const list = volumes.map((name) => `"${name}"`).join(', ');
  return [
    existing === '' || existing.endsWith('\n') ? existing : `${existing}\n`,
    list === ''
      ? ''
      : `# immutafs: the host made these read-only\nactivation {\n\tread_only_volume_list = [ ${list} ]\n}\n`,
    filter === undefined
      ? ''
      : `# immutafs: these pose as sealed physical volumes\ndevices {\n\t${filter}\n}\n`,
  ].join('');
}

/**
 * Returns the setting that disables the devices file of a root, if there is one, because with a devices file LVM ignores the
 * filter (lvmdevices(8)) and would use a copy of a listed device. LVM before 2.03 has neither.
 */
function withoutDevicesFile({ reader }: Early, root: string): string {
  const isNeeded =
    reader.stat(filterFile) !== undefined &&
    reader.stat(`${root}/etc/lvm/devices/system.devices`) !== undefined;
  return isNeeded ? 'devices {\n\tuse_devicesfile = 0\n}\n' : '';
}

/**
 * Writes the LVM configuration for the real root. It begins with the file of that root, because the initramfs may not have it, or has an
 * older one.
 * @param isSealed whether this boot is sealed
 * @returns whether the real root needs it
 */
export function writeLocalConfig(boot: Early, root: string, isSealed: boolean): boolean {
  const { reader } = boot;
  const groups = reader.readIfPresent(groupsFile);
  const volumes =
    groups?.trimEnd().split('\n') ?? (isSealed ? volumesOnReadOnlyDisks(boot).map(({ name }) => name) : []);
  if (volumes.length === 0 && reader.stat(filterFile) === undefined) return false;
  boot.native.makeDirectory(folder);
  const text = localConfig(boot, reader.readIfPresent(`${root}${own}`) ?? '', volumes);
  write(boot, lvmlocal, text + withoutDevicesFile(boot, root));
  return true;
}

/** An active logical volume whose disks are all read-only. */
interface VolumeOnReadOnlyDisks {
  /** "vg/lv" */
  name: string;
  /** Whether its device is read-only. */
  readOnly: boolean;
}

function volumesOnReadOnlyDisks({ reader }: Early): VolumeOnReadOnlyDisks[] {
  return reader
    .list('/sys/block')
    .filter((name) => name.startsWith('dm-'))
    .flatMap((name) => {
      const directory = `/sys/block/${name}`;
      const uuid = reader.readIfPresent(`${directory}/dm/uuid`)?.trim() ?? '';
      const mapped = reader.readIfPresent(`${directory}/dm/name`)?.trim();
      // The internal parts of a volume have UUIDs with a suffix.
      if (mapped === undefined || !/^LVM-[^-]*$/.test(uuid)) return [];
      const state = unlessSystemError(() => disksOfDevice(reader, directory).state) ?? 'writable';
      if (state === 'writable') return [];
      const { group, volume } = splitVolumeName(mapped);
      return [{ name: `${group}/${volume}`, readOnly: reader.readIfPresent(`${directory}/ro`) === '1\n' }];
    });
}

/**
 * Activates the volumes of the sealed groups in the initramfs, if a device of fstab is missing. The real root may find a writable
 * disk with newer metadata of such a group, for which the initramfs has no driver, and would activate the missing volume from this
 * disk. LVM does not change a volume that is active, unless its read-only state is not the configured one: then it loads the table
 * again (lvm2, lib/activate/activate.c, _lv_activate).
 */
export function activateSealedVolumes(boot: Early, fstab: readonly FstabLine[]): void {
  const { reader } = boot;
  if (!hasSealedVolumes(reader)) return;
  const isMissing = ({ isDevice, source }: FstabLine) =>
    isDevice && !isBlock(reader.status(sourceFile(reader, source).file));
  if (!fstab.some(isMissing) && volumesOnReadOnlyDisks(boot).every(({ readOnly }) => readOnly)) return;
  activateSealedGroups(boot);
  settle(boot, 90);
}
