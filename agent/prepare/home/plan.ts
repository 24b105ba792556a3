import path from 'node:path';
import { unlessSystemError } from '../../lib/errors.ts';
import { decodeBytes, formatBytes } from '../../lib/format.ts';
import { findLeaves } from '../../facts/disks/block.ts';
import { nodeOfMount, nodeOfSource } from '../../facts/disks/sources.ts';
import { type Mount, isBelow } from '../../facts/mounts/mountinfo.ts';
import { type Planned, stepOf, when } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { HomeAction } from '../engine/step.ts';
import { deviceOf, sizeOf } from '../move/devices.ts';
import { planExistingHome } from './existing-home.ts';
import { type Inspected, inspect, refusals } from './inspect.ts';
import { homeMount, requiredForHome } from './migration.ts';
import { describeFailure, describeTasks, readMoves } from '../move/record.ts';
import { whyNotMoved } from '../move/old-content.ts';
import { capacityOf, sizeOfDirectory, findNotCopied, missingPrograms } from '../move/requirements.ts';

/** Plans the step `home`: /home is on a disk that the host leaves writable. */
export async function planHome(snapshot: Snapshot): Promise<Planned> {
  const { reader, mounts } = snapshot;
  const own = homeMount(mounts);
  // What is mounted is a directory, and its server may not answer.
  const stat = own === undefined ? reader.stat('/home') : ({ kind: 'directory' } as const);
  if (stat === undefined) return stepOf('done', ['There is no /home.']);
  if (stat.kind !== 'directory') {
    return stepOf('by hand', [
      `/home is not a directory but ${stat.kind === 'link' ? `a link to ${reader.link('/home')}` : 'a file'}: replace it by a directory, or keep the content on a disk of its own.`,
    ]);
  }
  const record = readMoves(reader).moves.find(({ path: moved }) => moved === '/home');
  if (record !== undefined && record.task !== null)
    return stepOf('at next boot', describeTasks(reader, [record]));
  const failed = when(
    record !== undefined && record.problem !== null,
    `${record && describeFailure(record)}.`,
  );
  if (own !== undefined && !isOnSystemDisk(snapshot, own)) return planExistingHome(snapshot, own, failed);
  return planMigration(snapshot, own, failed);
}

async function planMigration(snapshot: Snapshot, own: Mount | undefined, failed: string[]): Promise<Planned> {
  const { reader } = snapshot;
  const { homeDevice, homeUuid } = snapshot.settings;
  const where =
    own === undefined
      ? "/home is a directory of the system's disk"
      : `/home is ${own.source}, on the system's own disk`;
  const why = `${where}, which the host makes read-only.`;
  const named = homeDevice ?? (homeUuid === undefined ? undefined : `UUID=${homeUuid}`);
  const { blockers, notes } = await findNotCopied(reader, snapshot.mounts, '/home');
  const unmoved = own === undefined ? whyNotMoved(reader, '/home') : undefined;
  const problems = [
    ...failed,
    ...missingPrograms(reader, homeUuid === undefined),
    ...blockers,
    ...when(unmoved !== undefined, `/home ${unmoved}.`),
  ];
  if (named === undefined) return stepOf('blocked', [why, offer(snapshot), ...problems, ...notes]);
  const inspected = await inspect(snapshot, named);
  const { wipe, wrong } = wipes(snapshot, inspected);
  const refused = [...problems.slice(failed.length), ...wrong, ...refusals(inspected, named, wipe)];
  if (inspected.never.length === 0) refused.push(...(await tooSmall(snapshot, inspected, named)));
  if (refused.length > 0) return stepOf('blocked', [why, ...failed, ...refused, ...notes]);
  const { content, volume } = inspected;
  const lost = when(wipe && content.length > 0, `The content of ${named} is lost: ${content.join(', ')}.`);
  const moves = `${why.slice(0, -1)}; it moves to ${named} in the next maintenance boot.`;
  return stepOf(
    'needed',
    [moves, ...failed, ...lost, ...notes, ...describePrograms(snapshot)],
    [
      ...when<HomeAction>(
        volume === undefined || (wipe && homeUuid === undefined),
        { do: 'partition-home', disk: named, wipe },
        { do: 'format-home', disk: named },
      ),
      { do: 'plan-home', disk: named },
    ],
  );
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
  { bytes }: Inspected,
  named: string,
): Promise<string[]> {
  const capacity = capacityOf(bytes);
  const needed = await sizeOfDirectory(reader, mounts, '/home', capacity);
  if (needed === undefined || needed <= capacity) return [];
  return [
    `${named} is too small: /home takes ${formatBytes(needed)}, a disk of ${formatBytes(bytes)} holds about ${formatBytes(capacity)}.`,
  ];
}

/** Describes the running programs that cannot be started again when /home is mounted noexec. */
function describePrograms({ reader, config }: Snapshot): string[] {
  if (!requiredForHome(config).includes('noexec')) return [];
  const programs = reader.processes
    .list()
    .flatMap((pid) => unlessSystemError(() => decodeBytes(reader.link(`/proc/${pid}/exe`))) ?? [])
    .filter((program) => isBelow(program, '/home') && !program.endsWith(' (deleted)'));
  const running = [...new Set(programs)].sort();
  return when(
    running.length > 0,
    `Programs that run from /home now will not start again, because it gets noexec: ${running.slice(0, 5).join(', ')}.`,
  );
}
