import { decodeBytes, formatBytes } from '../../../lib/format.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { type Part, when } from '../../engine/part.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import { copiedFiles, isLayered, layerSize } from '../layers.ts';
import { auditdConf } from '../../../facts/security/audit.ts';

interface AuditSpace extends Partial<Pick<Part, 'why' | 'manual'>> {
  settings?: Setting[];
  /** Remarks for a step that is done. */
  done?: string[];
}

/**
 * Compares the limits of auditd with the upper layer of /var. With HALT, for example, a guest whose layer is smaller
 * than admin_space_left is powered off during every boot (measured). Sizes that cannot work in the layer are changed;
 * what auditd does at a limit is the administrator's decision.
 */
export function planAuditSpace(look: Snapshot, values: Values): AuditSpace {
  const before = readSpaceSettings(values);
  if (!isLayered(look, before.logFile)) return { done: [`${before.logFile} is not in the overlay on /var.`] };
  const { layer } = layerSize(look);
  const used = copiedFiles(look).reduce((sum, { bytes }) => sum + bytes, 0);
  const fill = { layer, used, rotated: rotatedBytes(look.reader, before, values) };
  const settings = necessarySettings(values, fill);
  const now = new Map([...values, ...settings]);
  const space = readSpaceSettings(now);
  const reached = reachedLimits(space, fill);
  const why = settings.map(
    ([key, value]) =>
      `${auditdConf}: ${key} = ${values.get(key) ?? '0'} cannot work in the layer of /var (VAR_SIZE, ${formatBytes(layer)}): it will be ${value}.`,
  );
  if (reached.length === 0 && !isUnlimited(space))
    return { settings, why, done: ['The limits of auditd fit into the layer of /var.', ...remarks(space)] };
  const reasons = reached.length === 0 ? [unlimited(values)] : reached.map((one) => reason(one, space, fill));
  return { settings, why, manual: [...reasons, ...advice(reached, space, now, fill)] };
}

/**
 * Returns the size of the rotated logs on the disk whose mode auditd sets at each start (fix_disk_permissions in
 * auditd-event.c). This copies each of them into the layer, even if the mode stays the same (measured).
 */
function rotatedBytes(reader: SystemReader, { logFile }: SpaceSettings, values: Values): number {
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
  const moment =
    free < bytes(layer)
      ? `the layer of /var has ${formatBytes(Math.max(0, free))} free, so that at every boot`
      : Number.isFinite(own)
        ? `auditd's own logs may grow to ${formatBytes(own)} in a layer of ${formatBytes(layer)}, and then`
        : `max_log_file_action sets no limit for auditd's own logs, and when they have filled the layer,`;
  return `${auditdConf} has ${text}: ${moment} ${consequences[action] ?? ''}.`;
}

function unlimited(values: Values): string {
  const action = (values.get('max_log_file_action') ?? 'ignore').toUpperCase();
  return `${auditdConf} has max_log_file_action = ${action}: auditd deletes no old logs, so that they fill the layer of /var, and no program can write there.`;
}

function advice(reached: readonly Limit[], space: SpaceSettings, values: Values, fill: Fill): string[] {
  const lines = fittingSettings(values, fill).map(([key, value]) => `\`${key} = ${value}\``);
  const set = `these lines in ${auditdConf}: ${lines.join(', ')}`;
  const { layer, used, rotated } = fill;
  const archive = when(
    rotated > layer / 10,
    `auditd sets the mode of its rotated logs at each start, which copies ${formatBytes(rotated)} into the layer: archive and remove ${space.logFile}.1 and so on.`,
  );
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
    return when(
      keys.length > 0,
      `When other programs fill the layer of /var, ${consequences[action] ?? ''} (${action.toUpperCase()} in ${keys.join(', ')}).`,
    );
  });
}

/** The settings of auditd.conf(5) by key. */
export type Values = ReadonlyMap<string, string>;
export type Setting = [key: string, value: string];

/** The unit of sizes in auditd.conf(5): auditd counts in 1024 x 1024 bytes (auditd-event.c, MEGABYTE). */
const megabyte = 1024 ** 2;

/** The settings of auditd.conf(5) about disk space. The defaults are those of auditd (clear_config, auditd-config.c). */
interface SpaceSettings {
  logFile: string;
  writesLogs: boolean;
  /** The number of logs, if auditd deletes older ones; 1 if it stops writing at the maximum size; Infinity otherwise. */
  logCount: number;
  /** max_log_file, in bytes. */
  logSize: number;
  left: Limit;
  admin: Limit;
  /** These two limits, and those of disk_full_action and disk_error_action. */
  limits: Limit[];
}

/** A limit of the free space, and what auditd does below it. */
interface Limit {
  /** The settings, for messages: "space_left = 75 and space_left_action = HALT". */
  text: string;
  actionKey: string;
  /** In lower case. */
  action: string;
  /** Whether the action stops logging or the guest, or holds up a shutdown. */
  isHarmful: boolean;
  isShare: boolean;
  bytes: (fileSystem: number) => number;
}

/** The harmful actions of auditd at a limit, with their consequences. */
const consequences: Record<string, string> = {
  suspend: 'auditd stops writing audit records',
  single: 'auditd takes the guest to single-user mode',
  halt: 'auditd powers the guest off',
  exec: 'auditd stops writing audit records and runs a program',
  email: 'auditd starts a mailer, which the next shutdown waits for',
};

/** auditd does not use the last five blocks of a file system (check_space_left in auditd-event.c). */
const lastBlocks = 5 * 4096;

export function readSpaceSettings(values: Values): SpaceSettings {
  const number = (key: string) => parseInt(values.get(key) ?? '', 10) || 0;
  const word = (key: string, otherwise: string) =>
    (values.get(key) ?? otherwise).split(' ')[0]?.toLowerCase() ?? '';
  const onFull = word('max_log_file_action', 'ignore');
  const count = number('num_logs');
  const limit = (actionKey: string, otherwise: string) => {
    const action = word(actionKey, otherwise);
    const text = `${actionKey} = ${action.toUpperCase()}`;
    return { actionKey, action, isHarmful: Object.hasOwn(consequences, action), isShare: false, text };
  };
  const fixedLimit = (actionKey: string, otherwise: string): Limit => ({
    ...limit(actionKey, otherwise),
    bytes: () => lastBlocks,
  });
  const leftLimit = (key: string): Limit => {
    const amount = values.get(key) ?? '0';
    const isShare = amount.endsWith('%');
    const bytes = (fileSystem: number) =>
      isShare ? (fileSystem * number(key)) / 100 : number(key) * megabyte;
    const base = limit(`${key}_action`, 'ignore');
    return { ...base, isShare, text: `${key} = ${amount} and ${base.text}`, bytes };
  };
  const [left, admin] = [leftLimit('space_left'), leftLimit('admin_space_left')];
  return {
    logFile: values.get('log_file') ?? '/var/log/audit/audit.log',
    writesLogs: word('write_logs', 'yes') !== 'no' && word('log_format', 'raw') !== 'nolog',
    // auditd rotates a log that has reached its maximum size, unless num_logs is less than two.
    logCount: onFull === 'rotate' && count > 1 ? count : onFull === 'suspend' ? 1 : Infinity,
    logSize: number('max_log_file') * megabyte,
    left,
    admin,
    limits: [
      left,
      admin,
      fixedLimit('disk_full_action', 'ignore'),
      // auditd takes this action when the disk is full, too: at the second failed write, or if it cannot open a new log.
      fixedLimit('disk_error_action', 'syslog'),
    ],
  };
}

/** The size to which auditd's own logs can grow, in bytes; Infinity if there is no limit. */
function logBytes({ logCount, logSize }: SpaceSettings): number {
  return logCount === Infinity ? Infinity : logCount * logSize;
}

/** How the upper layer of /var is filled, in bytes. */
interface Fill {
  layer: number;
  /** The size of the files that are open for writing soon after the boot. */
  used: number;
  /** The size of the rotated audit logs on the disk. */
  rotated: number;
}

/** Returns the limits with harmful actions that the free space falls below, at boot or when the logs have grown. */
export function reachedLimits(space: SpaceSettings, { layer, used, rotated }: Fill): Limit[] {
  const free = layer - used - Math.max(logBytes(space), rotated);
  return space.limits.filter(({ isHarmful, bytes }) => isHarmful && free < bytes(layer));
}

/** Whether auditd's logs grow until the layer is full. */
export function isUnlimited(space: SpaceSettings): boolean {
  return logBytes(space) === Infinity;
}

/**
 * Returns new values for sizes that cannot work: a limit with a harmful action that is not smaller than the layer, and
 * logs that are not smaller than the layer. num_logs is not changed, because auditd deletes surplus logs.
 */
export function necessarySettings(values: Values, { layer }: Fill): Setting[] {
  const space = readSpaceSettings(values);
  const isImpossible = ({ isHarmful, bytes }: Limit) => isHarmful && bytes(layer) >= layer;
  const own = logBytes(space);
  return [
    ...smallerLimits(space, layer, isImpossible(space.left), isImpossible(space.admin)),
    ...(own >= layer ? smallerLogs(space, space.logCount, layer) : []),
  ];
}

/**
 * Returns settings with which no harmful limit is reached. Adds changes in this order until that is the case: rotation of
 * the logs if they are unlimited, lower limits, smaller or fewer logs, and an action that only logs a message.
 */
export function fittingSettings(values: Values, fill: Fill): Setting[] {
  const found = new Map<string, string>();
  for (const stage of [rotation, limits, logs, messages]) {
    const now = new Map([...values, ...found]);
    const space = readSpaceSettings(now);
    if (reachedLimits(space, fill).length === 0 && !isUnlimited(space)) break;
    for (const [key, value] of stage(space, fill, now)) found.set(key, value);
  }
  return [...found];
}

/** Returns shares of the layer, in megabytes: a tenth for the logs and space_left, a twentieth for admin_space_left. */
function sharesOf(layer: number): { tenth: number; twentieth: number } {
  const whole = Math.floor(layer / megabyte);
  return { tenth: Math.max(2, Math.floor(whole / 10)), twentieth: Math.max(1, Math.floor(whole / 20)) };
}

/**
 * Lowers space_left or admin_space_left. auditd does not start unless space_left is larger than admin_space_left. If one
 * of them is a percentage, both are set, so that the order does not depend on the size of the file system.
 */
function smallerLimits(
  { left, admin }: SpaceSettings,
  layer: number,
  isLeft: boolean,
  isAdmin: boolean,
): Setting[] {
  const { tenth, twentieth } = sharesOf(layer);
  const isBoth = (isLeft || isAdmin) && (left.isShare || admin.isShare);
  const isAbove = isLeft && admin.bytes(layer) >= tenth * megabyte;
  const settings: Setting[] = [];
  if (isLeft || isBoth) settings.push(['space_left', `${tenth}`]);
  if (isAdmin || isBoth || isAbove) settings.push(['admin_space_left', `${twentieth}`]);
  return settings;
}

/** Lowers max_log_file, so that all logs together take a tenth of the layer. */
function smallerLogs({ logSize }: SpaceSettings, count: number, layer: number): Setting[] {
  if (!Number.isFinite(count)) return [];
  const each = Math.max(1, Math.floor(sharesOf(layer).tenth / count));
  return each * megabyte < logSize ? [['max_log_file', `${each}`]] : [];
}

function rotation(space: SpaceSettings, { layer }: Fill, values: Values): Setting[] {
  if (!isUnlimited(space)) return [];
  const settings: Setting[] = [['max_log_file_action', 'ROTATE']];
  if (parseInt(values.get('num_logs') ?? '0', 10) < 2) settings.push(['num_logs', '2']);
  if (space.logSize === 0) settings.push(['max_log_file', `${Math.ceil(sharesOf(layer).tenth / 2)}`]);
  return settings;
}

function limits(space: SpaceSettings, fill: Fill): Setting[] {
  const { tenth, twentieth } = sharesOf(fill.layer);
  const reached = reachedLimits(space, fill);
  const isLarge = (limit: Limit, share: number) =>
    reached.includes(limit) && limit.bytes(fill.layer) > share * megabyte;
  return smallerLimits(space, fill.layer, isLarge(space.left, tenth), isLarge(space.admin, twentieth));
}

function logs(space: SpaceSettings, { layer }: Fill): Setting[] {
  const count = Math.min(space.logCount, sharesOf(layer).tenth);
  const settings = smallerLogs(space, count, layer);
  if (count < space.logCount) settings.push(['num_logs', `${count}`]);
  return settings;
}

function messages(space: SpaceSettings, fill: Fill): Setting[] {
  return reachedLimits(space, fill).map(({ actionKey }) => [actionKey, 'SYSLOG']);
}
