import fs from 'node:fs';
import path from 'node:path';
import type { Native } from '../../boot/native/native.ts';
import { type Ran, runBoot } from './boot-native.ts';
import { type DiskFixture, type StackFixture, makeSysfs } from './sysfs.ts';
import { inTemporaryDirectory, writeFiles } from './temporary.ts';

/** The disk of the root. @param offered whether the host made it read-only */
export const vda = (offered: boolean): DiskFixture => ({
  ...{ name: 'vda', device: '252:0', bus: 'virtio-blk', offered },
  partitions: { vda1: '252:1', vda2: '252:2' },
});
/** Another disk that the host made read-only. */
export const vdb: DiskFixture = {
  ...{ name: 'vdb', device: '252:16', bus: 'virtio-blk', offered: true },
  partitions: { vdb1: '252:17', vdb2: '252:18' },
};
export const vdc: DiskFixture = {
  ...{ name: 'vdc', device: '252:32', bus: 'virtio-blk' },
  partitions: { vdc2: '252:34' },
};
/** A volume on the disk of the root. */
export const dm0: StackFixture = { name: 'dm-0', device: '253:0', on: ['vda2'] };

export interface EarlyBoot {
  devices?: readonly (DiskFixture | StackFixture)[];
  files?: Record<string, string | { linkTo: string }>;
  cmdline?: string;
  /** The mounts below the root of the initramfs: "DEVICE TARGET TYPE SOURCE". */
  mounts?: readonly string[];
  /** Links below /dev/block/immutafs, each as "LINK" for a link to vdb2, or as "LINK NODE". */
  links?: readonly string[];
  /** What lvm and other programs print. */
  program?: (root: string, words: readonly string[]) => string | undefined;
  replaced?: (root: string) => Partial<Native>;
}

export interface EarlyRan extends Ran {
  /** The programs that were run, each with its arguments. */
  programs: string[];
  /** mount(2): "SOURCE TARGET TYPE FLAGS DATA", with the target where the directory was opened. */
  mounts: string[];
  /** Returns the content of a file afterwards; undefined if there is none. */
  after: (file: string) => string | undefined;
}

/** Makes a link below /dev. Relative, because an absolute one leads to a device of this machine. */
export function linkDevice(root: string, link: string, node: string): void {
  const file = path.join(root, 'dev', link);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.rmSync(file, { force: true });
  fs.symlinkSync(path.relative(path.dirname(file), path.join(root, 'dev', node)), file);
}

/** Runs commands of immutafs-boot one after the other in Node, in an initramfs whose devices are files. */
export function inEarlyBoot(
  { devices = [], files = {}, cmdline = 'ro quiet', mounts = [], links = [], program, replaced }: EarlyBoot,
  ...commands: readonly (readonly string[])[]
): EarlyRan {
  return inTemporaryDirectory((root) => {
    makeSysfs(root, devices);
    const names = fs.readdirSync(path.join(root, 'sys/class/block'));
    const lines = mounts.map((line, index) => {
      const [device, target, type, source] = line.split(' ');
      return `${index + 2} 1 ${device} / ${target} rw - ${type} ${source} rw\n`;
    });
    writeFiles(root, {
      ...Object.fromEntries(names.map((name) => [`dev/${name}`, ''])),
      'dev/kmsg': '',
      'proc/cmdline': `${cmdline}\n`,
      'proc/uptime': '9.00 1.00\n',
      'proc/self/mountinfo': `1 0 0:1 / / rw - rootfs rootfs rw\n${lines.join('')}`,
      ...Object.fromEntries(['lvm', 'mdadm', 'udevadm'].map((each) => [`usr/sbin/${each}`, ''])),
      ...files,
    });
    for (const name of ['run', 'etc', 'sysroot/usr', 'b t'])
      fs.mkdirSync(path.join(root, name), { recursive: true });
    for (const each of links) {
      const [link = '', node = 'vdb2'] = each.split(' ');
      linkDevice(root, `block/immutafs/${link}`, node);
    }
    const [programs, made, opened]: [string[], string[], string[]] = [[], [], []];
    const run = (...words: string[]) => {
      const [file = '', ...args] = words;
      const named = [path.basename(file), ...args];
      programs.push(named.join(' '));
      return program?.(root, named);
    };
    const given: Partial<Native> = {
      ...{ run, output: run },
      openAt: (directory, name) => {
        const whole = path.join(opened[directory] ?? '', name);
        if (!fs.lstatSync(path.join(root, whole)).isDirectory())
          throw Object.assign(new Error('Not a directory'), { code: 'ENOTDIR' });
        return opened.push(whole) - 1;
      },
      describe: (directory, name) => {
        const whole = path.join(root, opened[directory] ?? '', name);
        const found = fs.lstatSync(whole, { throwIfNoEntry: false });
        return found && [found.mode, found.uid, found.gid, found.dev, found.ino].join(' ');
      },
      mountAt: (directory, source, type, flags, data) => {
        made.push(`${source} ${opened[directory]} ${type} ${flags} ${data}`.trim());
      },
      rename: (directory, from, to) => {
        const whole = (name: string) => path.join(root, opened[directory] ?? '', name);
        fs.renameSync(whole(from), whole(to));
      },
      bindFile: (directory, name, target, targetName) => {
        made.push(`bind ${opened[directory]}/${name} ${opened[target]}/${targetName}`);
      },
      ...replaced?.(root),
    };
    let ran: Ran = { code: 0, stdout: '', stderr: '', setReadOnly: [] };
    for (const args of commands) ran = runBoot(root, args, given);
    const contents = new Map<string, string>();
    for (const file of ['dev/kmsg', 'etc/lvm/lvmlocal.conf', ...namesBelow(root, 'run/immutafs')]) {
      const whole = path.join(root, file);
      if (fs.existsSync(whole)) contents.set(file, fs.readFileSync(whole, 'latin1'));
    }
    for (const name of names) {
      const file = `sys/class/block/${name}/uevent`;
      contents.set(file, fs.readFileSync(path.join(root, file), 'latin1'));
    }
    return { ...ran, programs, mounts: made, after: (file) => contents.get(file) };
  });
}

function namesBelow(root: string, folder: string): string[] {
  const whole = path.join(root, folder);
  return fs.existsSync(whole) ? fs.readdirSync(whole).map((name) => `${folder}/${name}`) : [];
}
