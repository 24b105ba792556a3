import { SystemError } from '../lib/errors.ts';
import { runSync } from './exec.ts';

/** The program that checks the tables of device-mapper devices (packaging/programs/check-tables.c). */
export const checkTablesProgram = '/usr/libexec/immutafs/check-tables';

/**
 * Reads the tables of all device-mapper devices in a child process, because Node.js has no ioctl(2) and sysfs does not
 * show the tables.
 * @param program check-tables
 * @returns by "major:minor": the type of the first target with which the content of the device may differ from that of
 *     the devices below it; an empty string if there is none
 * @throws SystemError if the tables cannot be read: EACCES without root's privileges
 */
export function readDeviceTables(program = checkTablesProgram): ReadonlyMap<string, string> {
  const { exit, error, stdout } = runSync(program, [], { stdio: ['ignore', 'pipe', 'ignore'] });
  if (error !== undefined) throw error;
  const lines = stdout.split('\n');
  if ((exit !== 0 && exit !== 1) || lines.pop() !== '') {
    throw new SystemError('cannot read the tables of the device-mapper devices');
  }
  return new Map(
    lines.map((line) => {
      const [device = '', target = ''] = line.split(' ');
      return [device, target];
    }),
  );
}
