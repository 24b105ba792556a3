import { bootEnvFile, modes, splitOverlay, valuesOf } from '../../agent/facts/boot/boot-record.ts';
import { parseKernelArgument } from '../../agent/facts/boot/kernel-arguments.ts';
import { type Mount, parseMounts } from '../../agent/facts/mounts/mount-lines.ts';
import { SystemError } from '../../agent/lib/errors.ts';
import { unescapeBytes } from '../../agent/lib/octal.ts';
import type { BootReader } from '../native/reader.ts';
import type { BootConfig } from './config.ts';
import { type Disks, disksOfMounted } from './disks.ts';

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
  /** The last record about the seed; undefined if there is none. */
  seed: string | undefined;
}

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

/** Whether the kernel argument immutafs=off is set, in which case sealed devices are not preferred. */
export function isOff(reader: BootReader): boolean {
  return parseKernelArgument(readCommandLine(reader)).mode === 'off';
}

/** Returns the decision that the initramfs recorded; without a record, decides by the same rules. */
export function bootState(
  reader: BootReader,
  mounts: readonly Mount[],
  values: Pick<BootConfig['values'], 'MODE'>,
): BootState {
  const text = reader.readIfPresent(bootEnvFile);
  return text === undefined ? decide(reader, mounts, values) : recordedState(text);
}

function recordedState(text: string): BootState {
  const { all } = valuesOf(text);
  const mode = modes.find((each) => each === all('MODE').at(-1));
  if (mode === undefined) throw new SystemError(`${bootEnvFile}: no valid MODE`);
  const disks = (all('DISKS').at(-1) ?? '').split(' ').filter((word) => word !== '');
  const rehearsal = all('REHEARSAL').at(-1);
  return {
    ...{ mode, isRecorded: true },
    disks: disks.map((word) => ({ name: word.split(':')[0] ?? '', readOnly: word.includes(':1:') })),
    rehearsal: rehearsal === '' ? undefined : rehearsal,
    seed: all('SEED').at(-1),
    overlays: all('OVERLAY').flatMap((record) => {
      const { target: path, state } = splitOverlay(record) ?? {};
      return path === undefined || state === undefined ? [] : [{ path, state }];
    }),
    warnings: [],
  };
}

function decide(reader: BootReader, mounts: readonly Mount[], values: { MODE: string }): BootState {
  const { mode, disks, problems } = decideMode(reader, mountAt(mounts, '/'), values);
  return {
    mode,
    isRecorded: false,
    disks,
    rehearsal: undefined,
    seed: undefined,
    overlays: [],
    warnings: problems,
  };
}

export interface Decision {
  mode: string;
  reason: string;
  /** The disks under the root; none if they are unknown. */
  disks: Disks['disks'];
  /** Why the disks are unknown, although the mode depends on them; or empty. */
  error: string;
  /** What is wrong with the kernel arguments. */
  problems: string[];
}

/**
 * With MODE=auto, the mode depends only on the state of the disks, never on data that the guest can write. If the disks
 * cannot be told, the boot is sealed, because a sealed disk could not be used otherwise.
 */
export function decideMode(
  reader: BootReader,
  root: Mount | undefined,
  { MODE }: { MODE: string },
): Decision {
  const { mode: argument, problems } = parseKernelArgument(readCommandLine(reader));
  const { disks, unknown } = disksIfKnown(reader, root);
  const mode = argument ?? MODE;
  const decided = { disks, error: '', problems };
  if (mode !== 'auto')
    return {
      ...decided,
      mode,
      reason: argument === undefined ? `MODE=${MODE}` : `kernel argument immutafs=${argument}`,
    };
  if (unknown !== '') return { ...decided, mode: 'sealed', reason: unknown, error: unknown };
  const sealed = disks.find(({ readOnly }) => readOnly);
  if (sealed !== undefined)
    return { ...decided, mode: 'sealed', reason: `disk ${sealed.name} is read-only (${sealed.evidence})` };
  const last = disks.at(-1);
  const reason =
    last === undefined
      ? `no disk under / is known (device ${root?.device ?? 'none'}, ${root?.type ?? ''})`
      : `disk ${last.name} is writable`;
  return { ...decided, mode: 'maintenance', reason };
}

function disksIfKnown(
  reader: BootReader,
  root: Mount | undefined,
): { disks: Disks['disks']; unknown: string } {
  try {
    return { disks: disksOfMount(reader, root), unknown: '' };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return { disks: [], unknown: `the disks under / are unknown (${error.message})` };
  }
}

/** Returns the disks under a mount; none for a file system without a block device. */
export function disksOfMount(reader: BootReader, mount: Mount | undefined): Disks['disks'] {
  return devicesOfMount(reader, mount)?.disks ?? [];
}

/** Returns the devices under a mount, and their disks; undefined for a file system without a block device. @throws SystemError */
export function devicesOfMount(reader: BootReader, mount: Mount | undefined): Disks | undefined {
  return mount === undefined ? undefined : disksOfMounted(reader, mount);
}
