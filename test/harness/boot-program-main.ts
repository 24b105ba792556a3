/**
 * immutafs-boot, except that it reads the tables of device-mapper devices from a file (makeSysfs), prints the devices that it
 * would set read-only, and does what these files in /run say:
 * - cut, "FUNCTION before|after N": the program ends before or after the Nth call of the function, as at a power cut;
 * - seconds: the time limit of each program that it runs.
 * The bundle is built like that of boot/main.ts.
 */
import { run } from '../../boot/commands.ts';
import type { Native } from '../../boot/native.ts';

declare const native: Native;
const { read, print, exit, mode, sync, rename, supervise } = native;

const given = (file: string) => (mode(file) === undefined ? '' : read(file, 100).trim());
const [cut, when, count] = given('/run/cut').split(' ');
let calls = 0;
/** Runs a function, and ends the program before or after it if /run/cut says so. */
function cutAt<T>(name: string, run: () => T): T {
  const ends = name === cut && ++calls === Number(count);
  if (ends && when === 'before') exit(9);
  const result = run();
  if (ends) exit(9);
  return result;
}

const replaced: Partial<Native> = {
  sync: (...args) => cutAt('sync', () => sync(...args)),
  rename: (...args) => cutAt('rename', () => rename(...args)),
  supervise: (seconds, ...args) =>
    cutAt(args[1], () => supervise(Math.min(seconds, Number(given('/run/seconds') || seconds)), ...args)),
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
