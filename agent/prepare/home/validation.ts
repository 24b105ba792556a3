import { formatBytes } from '../../lib/format.ts';
import type { Action, Settings } from '../engine/step.ts';
import type { Inspected } from './inspect.ts';

/**
 * Why a device cannot become /home, a sentence each.
 * @param named as the user named it
 * @param wipe whether --wipe names it: what it holds may be lost, and nothing else
 */
export function refusals(
  { never, content, bytes, device }: Inspected,
  named: string,
  wipe: boolean,
): string[] {
  const size = bytes > 0 ? ` (${formatBytes(bytes)})` : '';
  const subject = named === device || named.startsWith('UUID=') ? named : `${named}, that is ${device},`;
  if (never.length > 0) return never.map((clause) => `${subject}${size} ${clause}.`);
  if (content.length === 0 || wipe) return [];
  return [
    `${subject}${size} is not empty: it holds ${content.join(', ')}. If all that may be lost: --wipe ${device}.`,
  ];
}

type MoveHome = Extract<Action, { do: 'move-home' }>;

/** What was asked for, as far as it is in the action. */
export function settingsOf({ disk, wipe }: Pick<MoveHome, 'disk' | 'wipe'>): Settings {
  const uuid = /^UUID=(.+)$/.exec(disk)?.[1];
  return {
    homeDevice: uuid === undefined ? disk : undefined,
    homeUuid: uuid,
    wipe: wipe ? disk : undefined,
    purgeOldHome: false,
    tmpSize: '25%',
    tmpMode: '1777',
    cleanVar: false,
  };
}
