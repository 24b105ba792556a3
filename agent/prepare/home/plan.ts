import path from 'node:path';
import { formatBytes } from '../../lib/format.ts';
import { findLeaves } from '../../facts/disks/block.ts';
import { nodeOfMount, nodeOfSource } from '../../facts/disks/sources.ts';
import type { Mount } from '../../facts/mounts/mountinfo.ts';
import { type Planned, stepOf, when } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { HomeAction } from '../engine/step.ts';
import { deviceOf, sizeOf } from './devices.ts';
import { planExistingHome } from './existing-home.ts';
import { type Inspected, inspect, refusals } from './inspect.ts';
import { homeMount, requiredForHome } from './migration.ts';
import { describeHandleOwners, findRunning } from '../move/open-handles.ts';
import { capacityOf, sizeOfDirectory, findNotCopied, missingPrograms } from '../move/requirements.ts';
import { type Users, findUsers } from '../move/users.ts';

/** Plans the step `home`: /home is on a disk that the host leaves writable. */
export async function planHome(snapshot: Snapshot): Promise<Planned> {
  const { reader, mounts } = snapshot;
  const stat = reader.stat('/home');
  if (stat === undefined) return stepOf('done', ['There is no /home.']);
  if (stat.kind !== 'directory') {
    return stepOf('by hand', [
      `/home is not a directory but ${stat.kind === 'link' ? `a link to ${reader.link('/home')}` : 'a file'}: replace it by a directory, or keep the content on a disk of its own.`,
    ]);
  }
  const own = homeMount(mounts);
  if (own !== undefined && !isOnSystemDisk(snapshot, own)) return planExistingHome(snapshot, own);
  return planMigration(snapshot, own);
}

async function planMigration(snapshot: Snapshot, own: Mount | undefined): Promise<Planned> {
  const { homeDevice, homeUuid } = snapshot.settings;
  const where =
    own === undefined
      ? "/home is a directory of the system's disk"
      : `/home is ${own.source}, on the system's own disk`;
  const why = `${where}, which the host makes read-only.`;
  const named = homeDevice ?? (homeUuid === undefined ? undefined : `UUID=${homeUuid}`);
  const users = await findUsers(snapshot.reader, '/home');
  const { blockers, notes } = await findNotCopied(snapshot.reader, snapshot.mounts, '/home');
  const problems = [
    ...missingPrograms(snapshot.reader, homeUuid === undefined),
    ...blockers,
    ...users.obstacles,
  ];
  if (named === undefined) return stepOf('blocked', [why, offer(snapshot), ...problems, ...notes]);
  const inspected = await inspect(snapshot, named);
  const { wipe, wrong } = wipes(snapshot, inspected);
  problems.push(...wrong, ...refusals(inspected, named, wipe));
  if (inspected.never.length === 0) problems.push(...(await tooSmall(snapshot, inspected, named)));
  if (problems.length > 0) return stepOf('blocked', [why, ...problems, ...notes]);
  const { marker, content, volume } = inspected;
  const state = marker ? `the interrupted run on ${named} is continued` : `it moves to ${named}`;
  const lost = when(wipe && content.length > 0, `The content of ${named} is lost: ${content.join(', ')}.`);
  const reasons = [`${why.slice(0, -1)}; ${state}.`, ...lost, ...notes, ...describeUsers(snapshot, users)];
  return stepOf('needed', reasons, [
    // An interrupted run may have made the file system, perhaps with an incomplete copy.
    ...when<HomeAction>(
      volume === undefined,
      { do: 'partition-home', disk: named, wipe },
      { do: 'format-home', disk: named },
    ),
    { do: 'copy-home', disk: named, wipe },
    { do: 'verify-home', disk: named },
    { do: 'cutover-home', disk: named, file: '/etc/fstab', before: null, after: null },
    { do: 'clear-home-marker', disk: named },
  ]);
}

/**
 * Whether the system disk contains the device of this mount. The mount point does not decide, because after the cutover
 * the old /home is still mounted at /home, below the new one.
 */
function isOnSystemDisk({ reader, systemDisks }: Snapshot, home: Mount): boolean {
  const node = nodeOfMount(reader, home);
  if (node === undefined) return false;
  return systemDisks.includes(findLeaves(reader, node).map((leaf) => ({ name: path.basename(leaf) })));
}

/** Suggests disks that are not in use, or asks for a second disk. */
function offer({ reader, disks }: Snapshot): string {
  const used = new Set(disks.map(({ name }) => name));
  const free = reader.list('/sys/block').filter((name) => {
    if (used.has(name) || /^(loop|ram|zram|sr|fd|dm-|md|nbd)/.test(name)) return false;
    const node = `/sys/block/${name}`;
    return reader.read(`${node}/ro`).trim() === '0' && Number(reader.read(`${node}/size`)) > 0;
  });
  const named = free.map((name) => `/dev/${name} (${formatBytes(sizeOf(reader, `/sys/block/${name}`))})`);
  return named.length === 0
    ? 'Give the guest a second disk on the host, then name it: --home-device /dev/vdb.'
    : `Name a disk for it: --home-device. Not in use are ${named.join(', ')}.`;
}

/** Whether --wipe names the disk that becomes /home. A different disk is an error. */
function wipes({ reader, settings }: Snapshot, { device }: Inspected): { wipe: boolean; wrong: string[] } {
  if (settings.wipe === undefined) return { wipe: false, wrong: [] };
  const node = nodeOfSource(reader, settings.wipe);
  if (node !== undefined && deviceOf(node) === device) return { wipe: true, wrong: [] };
  return { wipe: false, wrong: [`--wipe names ${settings.wipe}, but /home moves to ${device}.`] };
}

async function tooSmall(
  { reader, mounts }: Snapshot,
  { bytes, marker }: Inspected,
  named: string,
): Promise<string[]> {
  const capacity = capacityOf(bytes);
  const needed = await sizeOfDirectory(reader, mounts, '/home', capacity);
  if (needed === undefined || needed <= capacity || marker !== undefined) return [];
  return [
    `${named} is too small: /home takes ${formatBytes(needed)}, a disk of ${formatBytes(bytes)} holds about ${formatBytes(capacity)}.`,
  ];
}

/** Describes processes and programs that use /home. They do not block the copy, and some of them block the cutover. */
function describeUsers({ reader, config }: Snapshot, { owners, stale }: Users): string[] {
  const running = requiredForHome(config).includes('noexec') ? findRunning(reader, '/home') : [];
  return [
    ...when(
      owners.length > 0,
      `In use now: ${describeHandleOwners(owners)}. The copy can begin, the cutover cannot: end them first, or work from the console after systemctl isolate rescue.target.`,
    ),
    ...when(
      stale.length > 0,
      `Processes with a read-only /home in mount namespaces of their own see the old one until they are restarted: ${stale.slice(0, 10).join(', ')}.`,
    ),
    ...when(
      running.length > 0,
      `Programs that run from /home now will not start again, because it gets noexec: ${running.slice(0, 5).join(', ')}.`,
    ),
  ];
}
