import type { Config } from '../../config/config.ts';
import { requiredReadOnly } from '../../assess/system-disks.ts';
import { kernelLines, readLoader } from '../../facts/boot/boot-loader.ts';
import { splitKernelArguments } from '../../facts/boot/kernel-arguments.ts';
import type { Disk } from '../../facts/disks/disks.ts';
import { type FstabLine, type describeFstab, parseFstab } from '../../facts/mounts/fstab.ts';
import { type MountTable, isBelow, mountTable } from '../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../system/reader.ts';

/*
 * What an image says about the guests that are started from it. There are no devices: the disk of the image is the one that
 * has the file systems of the system, according to /etc/fstab and the kernel command line.
 */

/** The name of the disk of the image, where others have a kernel name. */
const imageDisk = 'image';

/** Returns the lines of an fstab. The disk of a line about which the image says nothing is noted for the first boot. */
export function describeImageFstab(
  reader: SystemReader,
  config: Config,
  text: string,
): ReturnType<typeof describeFstab> {
  const { lines, problems } = parseFstab(text);
  const onImage = judge(reader, config, lines);
  return {
    lines: lines.map((line) => ({
      ...line,
      ...{ device: undefined, missing: false, copies: [] },
      get disks() {
        const answer = onImage(line);
        if (answer === undefined)
          reader.image?.note(
            `whether the system disk has ${line.source} (line ${line.line} of /etc/fstab, ${line.target})`,
          );
        return answer === true ? [{ name: imageDisk, readOnly: false }] : [];
      },
    })),
    problems,
  };
}

/** Returns the mounts of a guest that is started from the image, as its fstab has them, and the disk of the image. */
export function imageMounts(
  reader: SystemReader,
  config: Config,
  text: string,
): { mounts: MountTable; disks: Disk[] } {
  const { lines } = parseFstab(text);
  const onImage = judge(reader, config, lines);
  const mounted = lines.filter(
    ({ target, type, options }) =>
      target.startsWith('/') && type !== 'swap' && !options.some((each) => /^r?bind$/.test(each)),
  );
  if (!mounted.some(({ target }) => target === '/')) mounted.push(rootLine);
  const ordered = mounted.toSorted((a, b) => a.target.length - b.target.length);
  const sources = [...new Set(ordered.map(({ source }) => source))];
  const rows = ordered.map((line, index) => {
    const parent = ordered.findLastIndex(
      ({ target }, other) => other < index && isBelow(line.target, target),
    );
    // Devices on disks have a major number other than 0 (isOnDisk).
    const device = `${line.node === undefined && line !== rootLine ? 0 : 259}:${sources.indexOf(line.source) + 1}`;
    const options = line.options.map(escaped).join(',');
    return `${index + 1} ${parent === -1 ? 0 : parent + 1} ${device} / ${escaped(line.target)} ${options} - ${escaped(line.type)} ${escaped(line.source)} ${options}\n`;
  });
  const holds = ordered
    .filter((line) => line === rootLine || onImage(line) === true)
    .map(({ target }) => target);
  const unknown = { bus: '', serial: null, readOnly: false, hostReadOnly: null, evidence: '' };
  const disk = { name: imageDisk, ...unknown, holds };
  return { mounts: mountTable(rows.join('')), disks: [disk] };
}

/** Returns the kernel arguments of the image: those of every kernel in its menu, or of future kernels. */
export function imageArguments(reader: SystemReader): string[] {
  const lines = kernelLines(readLoader(reader)).flatMap(({ words }) => words);
  if (lines.length > 0) return [...new Set(lines)];
  const own = reader.readIfPresent('/etc/kernel/cmdline', 65536) ?? '';
  const defaults = reader.readIfPresent('/etc/default/grub', 65536) ?? '';
  const grub = [...defaults.matchAll(/^\s*GRUB_CMDLINE_LINUX(?:_DEFAULT)?=(["']?)(.*)\1\s*$/gm)];
  return splitKernelArguments([own, ...grub.map(([, , words = '']) => words)].join(' '));
}

const rootLine: FstabLine = {
  ...{ line: 0, source: 'root', node: undefined, target: '/', type: 'none', options: ['rw'], pass: 0 },
};

/** The file systems of the system, which the disk of the image has, and those below /var without `nofail`. */
const systemTargets: readonly string[] = ['/', '/boot', '/boot/efi', '/efi', '/usr', '/var', '/opt', '/root'];

/**
 * Returns whether a line mounts a device of the image's disk: true for the file systems of the operating system, and for
 * devices on the same disk or in the same volume group; false for what is no device, for a line with `nofail`, which a
 * guest does not need, and for /home; undefined if the image does not say it.
 */
function judge(
  reader: SystemReader,
  config: Config,
  lines: readonly FstabLine[],
): (line: FstabLine) => boolean | undefined {
  const targets = new Set([...systemTargets, ...requiredReadOnly({ config })]);
  const isSystem = ({ target, options }: FstabLine) =>
    targets.has(target) || (isBelow(target, '/var') && !options.includes('nofail'));
  const root = imageArguments(reader)
    .filter((word) => word.startsWith('root='))
    .map((word) => word.slice('root='.length));
  const own = [
    ...root,
    ...lines.filter((line) => line.node !== undefined && isSystem(line)).map(({ source }) => source),
  ];
  const stacks = new Set(own.flatMap((source) => diskOf(source) ?? []));
  return (line) => {
    const { source, node, target, options } = line;
    if (node === undefined) return false;
    const stack = diskOf(source);
    if (isSystem(line) || own.includes(source) || (stack !== undefined && stacks.has(stack))) return true;
    if (options.includes('nofail') || isBelow(target, '/home')) return false;
    // A volume group or a disk of another name is not the disk of the image.
    return stack === undefined || stacks.size === 0 ? undefined : false;
  };
}

/** Returns the volume group or the disk in the name of a device: "/dev/mapper/rhel-root" -> "rhel", "/dev/vda2" -> "vda". */
function diskOf(source: string): string | undefined {
  const [, mapped] = /^\/dev\/mapper\/((?:--|[^-/])+)-[^-]/.exec(source) ?? [];
  if (mapped !== undefined) return mapped.replaceAll('--', '-');
  const [, disk] = /^\/dev\/((?:[vsh]|xv)d[a-z]+|nvme\d+n\d+|mmcblk\d+)p?\d*$/.exec(source) ?? [];
  if (disk !== undefined) return disk;
  const [, group] = /^\/dev\/([^/]+)\/[^/]+$/.exec(source) ?? [];
  return group === 'disk' || group === 'mapper' ? undefined : group;
}

/** Escapes a field as the kernel does in mountinfo. */
function escaped(text: string): string {
  return text.replace(/[\\ \t\n#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}
