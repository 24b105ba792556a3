/** immutafs-boot for a system whose disks are loop devices (move-state.sh), which PERSIST_STORE refuses otherwise. */
import { run } from '../../boot/commands.ts';
import type { Native } from '../../boot/native/native.ts';

declare const native: Native;
const { list, mode, read, resolve, status } = native;

/** The directory in sysfs of a loop device, under the name of a disk. */
const real = (file: string) => file.replaceAll('/disk-loop', '/loop');

const replaced: Partial<Native> = {
  read: (file, ...more) => read(real(file), ...more),
  list: (directory) => list(real(directory)),
  mode: (file) => mode(real(file)),
  status: (file) => status(real(file)),
  resolve: (file) => resolve(real(file)).replace(/^(\/sys\/devices\/virtual\/block)\/loop/, '$1/disk-loop'),
};

native.exit(run(Object.assign(native, replaced)));
