import path from 'node:path';
import { formatBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { nodeOfSource } from '../../facts/disks/block.ts';
import type { Mount } from '../../facts/mounts/mountinfo.ts';
import { requiredOptions } from '../../facts/mounts/targets.ts';
import type { Look } from '../engine/snapshot.ts';
import type { Step } from '../engine/step.ts';
import { describeHolders, findRunning } from './open-handles.ts';
import { type Inspected, inspectDisk, inspectFileSystem } from './inspect.ts';
import { ownMount } from './stale-marker.ts';
import { planMoved } from './existing-home.ts';
import { missingPrograms } from './programs.ts';
import { refusals } from './validation.ts';
import { roomOn, sizeOfHome } from './space-check.ts';
import { findUncarried } from './uncarried.ts';
import { type Users, findHomeUsers } from './users.ts';

/** What there is to do about /home: it must be on a disk that the host leaves writable. Only reads. */
export async function planHome(look: Look): Promise<Step> {
  const { reader, mounts } = look;
  const stat = reader.stat('/home');
  if (stat === undefined) return step('done', ['There is no /home.']);
  if (stat.kind !== 'directory') {
    return step('by hand', [
      `/home is no folder but a link or a file${stat.kind === 'link' ? ` (to ${reader.link('/home')})` : ''}: put a folder in its place, or keep what it leads to on a disk of its own.`,
    ]);
  }
  const own = ownMount(mounts);
  if (own !== undefined && !look.systemDisks.holds(own)) return planMoved(look, own);
  return planMove(look, own);
}

async function planMove(look: Look, own: Mount | undefined): Promise<Step> {
  const { homeDevice, homeUuid } = look.settings;
  const where =
    own === undefined
      ? "/home is a folder of the system's disk"
      : `/home is ${own.source}, on the system's own disk`;
  const why = `${where}, which the host makes read-only.`;
  const named = homeDevice ?? (homeUuid === undefined ? undefined : `UUID=${homeUuid}`);
  const users = await findHomeUsers(look.reader);
  const { blockers, notes } = await findUncarried(look.reader, look.mounts);
  const problems = [...missingPrograms(look.reader, homeUuid === undefined), ...blockers, ...users.obstacles];
  if (named === undefined) return step('blocked', [why, offer(look), ...problems, ...notes]);
  const inspected =
    homeUuid === undefined ? await inspectDisk(look, named) : await inspectFileSystem(look, homeUuid);
  const { wipe, wrong } = wipes(look, inspected);
  problems.push(...wrong, ...refusals(inspected, named, wipe));
  if (inspected.never.length === 0) problems.push(...(await tooSmall(look, inspected, named)));
  if (problems.length > 0) return step('blocked', [why, ...problems, ...notes]);
  const { mark, content } = inspected;
  const wiped = wipe && content.length > 0;
  const state = mark ? `an interrupted run began with ${named}: it goes on` : `${named} gets it`;
  const lost = wiped ? [`What ${named} holds is lost: ${content.join(', ')}.`] : [];
  return {
    ...step('needed', [
      `${why.slice(0, -1)}; ${state}.`,
      ...lost,
      ...notes,
      ...commands(inspected),
      ...describeUsers(look, users),
    ]),
    actions: [{ do: 'move-home', disk: named, wipe }],
  };
}

export function step(state: Step['state'], why: string[]): Step {
  return { id: 'home', state, why, actions: [] };
}

/** Disks that look as if they were for it. */
function offer({ reader, disks }: Look): string {
  const taken = new Set(disks.map(({ name }) => name));
  const free = reader.list('/sys/block').filter((name) => {
    if (taken.has(name) || /^(loop|ram|zram|sr|fd|dm-|md|nbd)/.test(name)) return false;
    const node = `/sys/block/${name}`;
    return reader.read(`${node}/ro`).trim() === '0' && Number(reader.read(`${node}/size`)) > 0;
  });
  const named = free.map((name) => `/dev/${name} (${formatBytes(sizeOf(reader, name))})`);
  return named.length === 0
    ? 'Give the guest a second disk on the host, then name it here: --home-device /dev/vdb.'
    : `Name a disk for it: --home-device. Not in use are ${named.join(', ')}.`;
}

function sizeOf(reader: SystemReader, name: string): number {
  return Number(reader.read(`/sys/block/${name}/size`)) * 512;
}

/** --wipe names exactly this disk, or another one, which is a mistake. */
function wipes({ reader, settings }: Look, { device }: Inspected): { wipe: boolean; wrong: string[] } {
  if (settings.wipe === undefined) return { wipe: false, wrong: [] };
  const node = nodeOfSource(reader, settings.wipe);
  if (node !== undefined && `/dev/${path.basename(node)}` === device) return { wipe: true, wrong: [] };
  return { wipe: false, wrong: [`--wipe names ${settings.wipe}, but /home is to go to ${device}.`] };
}

async function tooSmall(
  { reader, mounts }: Look,
  { bytes, mark }: Inspected,
  named: string,
): Promise<string[]> {
  const room = roomOn(bytes);
  const needed = await sizeOfHome(reader, mounts, room);
  if (needed === undefined || needed <= room || mark !== undefined) return [];
  return [
    `${named} is too small: /home takes ${formatBytes(needed)}, ${formatBytes(bytes)} have room for about ${formatBytes(room)}.`,
  ];
}

function commands({ device, mark, volume }: Inspected): string[] {
  const make =
    volume === undefined && mark?.progress !== 'copying'
      ? `parted -s -a optimal ${device} mklabel gpt unit % mkpart immutafs-home xfs 0 100; mkfs.xfs; `
      : '';
  return [
    `To be run: ${make}rsync -aHAXS --numeric-ids, a second time with /home read-only, a third time to compare (-c -n); a line for /home in /etc/fstab (UUID, rw,noexec,nodev,nosuid); mount /home.`,
  ];
}

/** Nothing of it keeps the copy from beginning. */
function describeUsers({ reader, config }: Look, { holders, stale }: Users): string[] {
  const running = findRunning(reader, '/home');
  const noexec = requiredOptions(config).some(
    ({ target, list }) => target === '/home' && list.includes('noexec'),
  );
  return [
    ...(holders.length === 0
      ? []
      : [
          `In use now: ${describeHolders(holders)}. The copy can begin, the change cannot: end them first, or work from the console after systemctl isolate rescue.target.`,
        ]),
    ...(stale.length === 0
      ? []
      : [
          `Read-only in mount namespaces of their own, and the old /home until they are started again: ${stale.slice(0, 10).join(', ')}.`,
        ]),
    ...(running.length === 0 || !noexec
      ? []
      : [`Run from /home now, and refused by noexec at the next start: ${running.slice(0, 5).join(', ')}.`]),
  ];
}
