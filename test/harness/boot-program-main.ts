/**
 * immutafs-boot, except that it reads the tables of device-mapper devices from a file (makeSysfs), and prints the devices that
 * it would set read-only. The bundle is built like that of boot/main.ts.
 */
import { run } from '../../boot/commands.ts';
import type { Native } from '../../boot/native.ts';

declare const native: Native;
const { read, print } = native;

const replaced: Pick<Native, 'table' | 'setReadOnly'> = {
  table: (major, minor) => {
    const lines = read('/usr/libexec/immutafs/device-tables', 65536).split('\n');
    const line = lines.find((each) => each.startsWith(`${major}:${minor} `));
    if (line === undefined) throw new Error('no such device');
    return ['linear ', `${line.split(' ')[1] ?? ''} `];
  },
  setReadOnly: (file) => {
    print(2, `${file} is set read-only\n`);
  },
};

native.exit(run(Object.assign(native, replaced)));
