import { parseKernelArgument } from '../agent/facts/boot/kernel-arguments.ts';
import { type Mount, parseMounts } from '../agent/facts/mounts/mount-lines.ts';
import { SystemError, unlessSystemError } from '../agent/lib/errors.ts';
import { unescapeBytes } from '../agent/lib/octal.ts';
import { type Disks, disksOfBtrfs, disksOfDevice } from './disks.ts';
import type { BootConfig } from './config.ts';
import type { BootReader } from './reader.ts';

/** What the initramfs decided and recorded in boot.env, or what is decided without a record. */
export interface BootState {
  mode: string;
  /** Whether the initramfs decided. */
  isRecorded: boolean;
  /** The kernel names of the disks under /, and whether each is read-only. */
  disks: readonly { name: string; readOnly: boolean }[];
  /** The limit of the rehearsal, as recorded; undefined if this boot is none. */
  rehearsal: string | undefined;
  /** The records of OVERLAY. */
  overlays: readonly { path: string; state: string }[];
  warnings: string[];
}

const file = '/run/immutafs/boot.env';

/** The largest mount table, in bytes. */
const mostBytes = 16_000_000;

/** Returns the mounts of this process, one character per byte. */
export function readMounts(reader: BootReader): Mount[] {
  return parseMounts(reader.readAt('/proc/self/mountinfo', mostBytes), unescapeBytes);
}

/** Returns the topmost mount at a path. */
export function mountAt(mounts: readonly Mount[], path: string): Mount | undefined {
  return mounts.findLast(({ target }) => target === path);
}

export function readCommandLine(reader: BootReader): string {
  return (reader.readIfPresent('/proc/cmdline') ?? '').split('\n', 1)[0] ?? '';
}

/** Returns the decision that the initramfs recorded; without a record, decides by the same rules. */
export function bootState(
  reader: BootReader,
  mounts: readonly Mount[],
  values: Pick<BootConfig['values'], 'MODE'>,
): BootState {
  const text = reader.readIfPresent(file);
  return text === undefined ? decide(reader, mounts, values) : recordedState(text);
}

function recordedState(text: string): BootState {
  const lines = text.split('\n');
  const all = (key: string) =>
    lines.filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1));
  const mode = all('MODE').at(-1) ?? '';
  if (!['sealed', 'maintenance', 'off'].includes(mode)) throw new SystemError(`${file}: no valid MODE`);
  const disks = (all('DISKS').at(-1) ?? '').split(' ').filter((word) => word !== '');
  const rehearsal = all('REHEARSAL').at(-1);
  return {
    ...{ mode, isRecorded: true },
    disks: disks.map((word) => ({ name: word.split(':')[0] ?? '', readOnly: word.includes(':1:') })),
    rehearsal: rehearsal === '' ? undefined : rehearsal,
    overlays: all('OVERLAY').map((record) => {
      const [path = '', state = ''] = record.split(' ');
      return { path, state };
    }),
    warnings: [],
  };
}

/**
 * With MODE=auto, the mode depends only on the state of the disks, never on data that the guest can write. If the disks
 * cannot be told, the boot is sealed, because a sealed disk could not be used otherwise.
 */
function decide(reader: BootReader, mounts: readonly Mount[], { MODE }: { MODE: string }): BootState {
  const { mode: argument, problems } = parseKernelArgument(readCommandLine(reader));
  const found = unlessSystemError(() => disksOfMount(reader, mountAt(mounts, '/')));
  const disks = found ?? [];
  const isSealed = found === undefined || disks.some(({ readOnly }) => readOnly);
  const mode = argument ?? MODE;
  return {
    mode: mode === 'auto' ? (isSealed ? 'sealed' : 'maintenance') : mode,
    ...{ isRecorded: false, disks, rehearsal: undefined, overlays: [], warnings: problems },
  };
}

/** Returns the disks under a mount; none for a file system without a block device. */
export function disksOfMount(reader: BootReader, mount: Mount | undefined): Disks['disks'] {
  return devicesOfMount(reader, mount)?.disks ?? [];
}

/** Returns the devices under a mount, and their disks; undefined for a file system without a block device. @throws SystemError */
export function devicesOfMount(reader: BootReader, mount: Mount | undefined): Disks | undefined {
  if (mount === undefined) return undefined;
  const { device, type, source } = mount;
  if (device.startsWith('0:')) return type === 'btrfs' ? disksOfBtrfs(reader, source) : undefined;
  const directory = `/sys/dev/block/${device}`;
  return reader.status(directory) === undefined ? undefined : disksOfDevice(reader, directory);
}
