import { type Limit, type SpaceSettings, logBytes, megabyte, readSpaceSettings } from './space-settings.ts';

/** How the upper layer of /var is filled, in bytes. */
export interface Fill {
  /** The maximum size of the layer. */
  layer: number;
  /** The size of the files that are open for writing soon after the boot. */
  used: number;
  /** The size of the rotated audit logs on the disk. */
  rotated: number;
}

type Values = ReadonlyMap<string, string>;
type Setting = [key: string, value: string];

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
