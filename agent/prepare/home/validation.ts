import { SystemError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { Context } from '../engine/context.ts';
import { readSnapshot } from '../engine/snapshot.ts';
import { type Inspected, inspect } from './inspect.ts';

/**
 * Returns the reasons why a device cannot become /home, one sentence each.
 * @param named the device as named on the command line
 * @param wipe whether --wipe names the device, so that its content may be destroyed
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
    `${subject}${size} is not empty: it contains ${content.join(', ')}. To destroy this content, add --wipe ${device}.`,
  ];
}

/** Inspects a device again, right before it is used. @throws SystemError if it cannot become /home */
export async function expectUsable({ reader }: Context, named: string, wipe: boolean): Promise<Inspected> {
  const inspected = await inspect(readSnapshot(reader), named);
  const problems = refusals(inspected, named, wipe);
  if (problems.length > 0) throw new SystemError(problems.join(' '));
  return inspected;
}
