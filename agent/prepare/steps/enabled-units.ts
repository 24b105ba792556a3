import { type SystemReader, namesIfThere } from '../../system/reader.ts';

/** Whether a unit is enabled, that is, linked in a .wants or .requires folder (systemctl(1), enable). */
export function isEnabled(reader: SystemReader, unit: string): boolean {
  return namesIfThere(reader, '/etc/systemd/system')
    .filter((name) => name.endsWith('.wants') || name.endsWith('.requires'))
    .some((name) => namesIfThere(reader, `/etc/systemd/system/${name}`).includes(unit));
}
