import { decodeBytes, formatBytes } from '../../../lib/format.ts';
import type { SystemReader } from '../../../system/reader.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import { openForWriting } from '../open-files.ts';
import { isLayered, layerSize } from '../var-layer.ts';
import { auditdConf } from '../../../facts/security/auditd-conf.ts';
import { type Fill, fittingSettings, isUnlimited, necessarySettings, reachedLimits } from './fitting.ts';
import { type AuditPart, nothing } from './part.ts';
import {
  type Limit,
  type SpaceSettings,
  consequences,
  logBytes,
  megabyte,
  readSpaceSettings,
} from './space-settings.ts';

/**
 * Compares the limits of auditd with the upper layer of /var. With HALT, for example, a guest whose layer is smaller
 * than admin_space_left is powered off during every boot (measured). Sizes that cannot work in the layer are changed;
 * what auditd does at a limit is the administrator's decision.
 */
export function planAuditSpace(look: Snapshot, values: ReadonlyMap<string, string>): AuditPart {
  const before = readSpaceSettings(values);
  if (!isLayered(look, before.logFile)) {
    return { ...nothing, notes: [`${before.logFile} is not in the overlay on /var.`] };
  }
  const { layer } = layerSize(look);
  const used = openForWriting(look.reader, ['/var']).reduce((sum, { bytes }) => sum + bytes, 0);
  const fill = { layer, used, rotated: rotatedBytes(look.reader, before, values) };
  const settings = necessarySettings(values, fill);
  const now = new Map([...values, ...settings]);
  const space = readSpaceSettings(now);
  const reached = reachedLimits(space, fill);
  const why = settings.map(
    ([key, value]) =>
      `${auditdConf}: ${key} = ${values.get(key) ?? '0'} cannot work in the layer of /var (VAR_SIZE, ${formatBytes(layer)}): it will be ${value}.`,
  );
  if (reached.length === 0 && !isUnlimited(space)) {
    return {
      settings,
      why,
      manual: [],
      notes: ['The limits of auditd fit into the layer of /var.', ...remarks(space)],
    };
  }
  const reasons = reached.length === 0 ? [unlimited(values)] : reached.map((one) => reason(one, space, fill));
  return { settings, why, manual: [...reasons, ...advice(reached, space, now, fill)], notes: [] };
}

/**
 * Returns the size of the rotated logs on the disk whose mode auditd sets at each start (fix_disk_permissions in
 * auditd-event.c). This copies each of them into the layer, even if the mode stays the same (measured).
 */
function rotatedBytes(
  reader: SystemReader,
  { logFile }: SpaceSettings,
  values: ReadonlyMap<string, string>,
): number {
  const count = Math.min(999, parseInt(values.get('num_logs') ?? '0', 10));
  let sum = 0;
  for (let number = 1; number < count; number++) {
    const stat = reader.stat(`${decodeBytes(logFile)}.${number}`);
    if (stat === undefined) break;
    sum += stat.bytes;
  }
  return sum;
}

function reason({ text, action, bytes }: Limit, space: SpaceSettings, fill: Fill): string {
  const { layer, used, rotated } = fill;
  const free = layer - used - rotated;
  const own = logBytes(space);
  const when =
    free < bytes(layer)
      ? `the layer of /var has ${formatBytes(Math.max(0, free))} free, so that at every boot`
      : Number.isFinite(own)
        ? `auditd's own logs may grow to ${formatBytes(own)} in a layer of ${formatBytes(layer)}, and then`
        : `max_log_file_action sets no limit for auditd's own logs, and when they have filled the layer,`;
  return `${auditdConf} has ${text}: ${when} ${consequences[action] ?? ''}.`;
}

function unlimited(values: ReadonlyMap<string, string>): string {
  const action = (values.get('max_log_file_action') ?? 'ignore').toUpperCase();
  return `${auditdConf} has max_log_file_action = ${action}: auditd deletes no old logs, so that they fill the layer of /var, and no program can write there.`;
}

function advice(
  reached: readonly Limit[],
  space: SpaceSettings,
  values: ReadonlyMap<string, string>,
  fill: Fill,
): string[] {
  const lines = fittingSettings(values, fill).map(([key, value]) => `\`${key} = ${value}\``);
  const set = `these lines in ${auditdConf}: ${lines.join(', ')}`;
  const { layer, used, rotated } = fill;
  const archive =
    rotated > layer / 10
      ? [
          `auditd sets the mode of its rotated logs at each start, which copies ${formatBytes(rotated)} into the layer: archive and remove ${space.logFile}.1 and so on.`,
        ]
      : [];
  if (isUnlimited(space)) return [`Set ${set}.`, ...archive];
  const shares = reached.map(({ bytes }) => bytes(layer) / layer);
  const most = Math.max(...reached.map(({ bytes }) => bytes(layer)));
  const taken = used + Math.max(logBytes(space), rotated);
  const needed = reached.some(({ isShare }) => isShare)
    ? taken / (1 - Math.min(0.99, Math.max(...shares)))
    : taken + most;
  const size = `${Math.ceil(needed / megabyte)}m`;
  return [`Set VAR_SIZE=${size} or more in /etc/immutafs/immutafs.conf, or ${set}.`, ...archive];
}

/** Names the actions that stop logging or the guest once other programs have filled the layer. */
function remarks({ limits }: SpaceSettings): string[] {
  return ['suspend', 'single', 'halt'].flatMap((action) => {
    const keys = limits.filter((limit) => limit.action === action).map(({ actionKey }) => actionKey);
    if (keys.length === 0) return [];
    return [
      `When other programs fill the layer of /var, ${consequences[action] ?? ''} (${action.toUpperCase()} in ${keys.join(', ')}).`,
    ];
  });
}
