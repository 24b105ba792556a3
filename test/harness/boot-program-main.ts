/**
 * immutafs-boot, except that it reads the tables of device-mapper devices from a file (makeSysfs), prints the devices that it
 * would set read-only, and does what these files in /run say:
 * - cut, "FUNCTION before|after N": the program ends before or after the Nth call of the function, as at a power cut;
 * - seconds: the time limit of each program that it runs;
 * - pause: `sync` makes the file /run/waiting and waits for /run/go.
 *
 * /fail, "FUNCTION TEXT OTHER", makes each call of a function fail of which an argument contains the text, and none contains the
 * other one. SELinux labels are written to /out/changed.
 * A seed has the content of the directory /content, because the machine may have no iso9660. A mapping is a loop device without
 * encryption, which /dmsetup makes, and a device in /dev has the number that it has in /sys.
 * The bundle is built like that of boot/main.ts.
 */
import { run } from '../../boot/commands.ts';
import { baseName } from '../../agent/lib/paths.ts';
import type { Native } from '../../boot/native/native.ts';

declare const native: Native;
const { append, bind, block, exit, mode, mountAt, openAt, openBlock, print, read, remount, rename } = native;
const { resolve, run: execute, setOptions, sleep, supervise, sync, write } = native;

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

const [failing, failingText = '', notText] = given('/fail').split(' ');
/** Does the same, and fails if /fail says so. */
function failAt(name: string, args: readonly unknown[], run: () => void): void {
  const contains = (text: string) => args.some((each) => String(each).includes(text));
  if (name === failing && contains(failingText) && (notText === undefined || !contains(notText)))
    throw Object.assign(new Error('Input/output error'), { code: 'EIO' });
  cutAt(name, run);
}

const files = new Map<number, string>();
const mappingFile = '/dev/mapper/immutafs-scratch';

const replaced: Partial<Native> = {
  mountAt: (...args) =>
    failAt('mountAt', args, () => {
      const [directory, , type, flags] = args;
      if (type === 'iso9660') bind(openAt(openAt(-1, '/'), 'content'), directory, flags);
      else mountAt(...args);
    }),
  bind: (...args) => failAt('bind', args, () => bind(...args)),
  remount: (...args) =>
    failAt('remount', [args[1] === 1 ? 'read-only' : 'read-write'], () => remount(...args)),
  setOptions: (...args) => failAt('setOptions', args, () => setOptions(...args)),
  copyLabel: (model, file) => append('/out/changed', `--reference=${model} ${file}\n`),
  openBlock: (file, ...how) => {
    const fd = openBlock(file, ...how);
    const descriptor = /^\/proc\/self\/fd\/(\d+)$/.exec(file)?.[1];
    files.set(fd, files.get(Number(descriptor)) ?? resolve(file));
    return fd;
  },
  block: (file) => {
    const [number, ...rest] = block(file).split(' ');
    const known = `/sys/class/block/${baseName(files.get(file) ?? '')}/dev`;
    return [mode(known) === undefined ? number : read(known, 100).trim(), ...rest].join(' ');
  },
  mapping: () => (mode(mappingFile) === undefined ? undefined : '7:0'),
  createMapping: (name, uuid, target, parameters, sectors) => {
    const made = execute('/dmsetup', 'create', name, uuid, target, parameters, `${sectors}`);
    if (made === undefined) throw Object.assign(new Error('Device or resource busy'), { code: 'EBUSY' });
    return made.trim();
  },
  removeMapping: (uuid) => {
    execute('/dmsetup', 'remove', uuid);
  },
  sync: (...args) => {
    if (given('/run/pause') !== '') {
      write('/run/waiting', '');
      while (mode('/run/go') === undefined) sleep(50);
    }
    cutAt('sync', () => sync(...args));
  },
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
