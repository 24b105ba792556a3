import fs from 'node:fs';
import path from 'node:path';
import { type Guest, goodGuest } from './guest.ts';
import type { DiskFixture, StackFixture } from './sysfs.ts';

/** Recordings in test/fixtures/el7. */
export type Recording = 'clone-first' | 'clone-second';

/** Builds the guest of a recording from its mounts, block devices, udev database and links, fstab and boot.env. */
export function el7Guest(name: Recording): Guest {
  const parts = sections(name);
  const mountinfo = parts['/proc/self/mountinfo'] ?? '';
  return {
    ...goodGuest(),
    mounts: {},
    files: {
      ...goodGuest().files,
      ...Object.fromEntries(
        Object.entries(parts)
          .filter(([file]) => /^\/(proc|etc|run)\//.test(file))
          .map(([file, text]) => [file.slice(1), text]),
      ),
      'proc/1/mountinfo': mountinfo,
      // The recorded guests had no MOUNT_OPTIONS.
      'etc/immutafs/immutafs.conf': 'MOUNT_OPTIONS=\n',
      ...nodes(parts),
    },
    devices: devices(parts),
  };
}

function sections(name: Recording): Record<string, string> {
  const file = path.join(import.meta.dirname, `../fixtures/el7/${name}.txt`);
  const parts = fs.readFileSync(file, 'utf8').split(/^##### (.*)\n/m);
  return Object.fromEntries(
    parts.flatMap((part, index) => (index % 2 === 1 ? [[part, parts[index + 1] ?? '']] : [])),
  );
}

function devices(parts: Record<string, string>): (DiskFixture | StackFixture)[] {
  const names = Object.keys(parts).flatMap((each) => /^\/sys\/block\/([^/]+)\/uevent$/.exec(each)?.[1] ?? []);
  const of = (node: string, file: string) => (parts[`/sys/block/${node}/${file}`] ?? '').trim();
  const number = (node: string) =>
    [/^MAJOR=(\d+)$/m, /^MINOR=(\d+)$/m].map((form) => form.exec(of(node, 'uevent'))?.[1]).join(':');
  const disks = names.map((name): DiskFixture | StackFixture => {
    const readOnly = of(name, 'ro') === '1';
    if (name.startsWith('dm-')) {
      const on = of(name, 'slaves').split('\n');
      const dm = { name: of(name, 'dm/name'), uuid: of(name, 'dm/uuid') };
      return { name, device: number(name), on, readOnly, dm };
    }
    const partitions = Object.keys(parts).flatMap(
      (each) => new RegExp(`^/sys/block/${name}/([^/]+)/uevent$`).exec(each)?.[1] ?? [],
    );
    return {
      name,
      device: number(name),
      bus: 'virtio-blk',
      offered: of(name, 'device/features').charAt(5) === '1',
      partitions: Object.fromEntries(partitions.map((each) => [each, number(`${name}/${each}`)])),
    };
  });
  // Sort stacked devices last, because their members must be created first.
  return disks.sort((one, other) => Number('on' in one) - Number('on' in other));
}

/** Returns the device nodes and the udev links. */
function nodes(parts: Record<string, string>): Guest['files'] {
  const files: Guest['files'] = {};
  for (const file of Object.keys(parts)) {
    const [, name] = /^\/sys\/block\/(?:[^/]+\/)?([^/]+)\/uevent$/.exec(file) ?? [];
    if (name !== undefined) files[`dev/${name}`] = '';
  }
  for (const [, uuid = '', to = ''] of (parts['by-uuid'] ?? '').matchAll(/ (\S+) -> (\S+)$/gm)) {
    files[`dev/disk/by-uuid/${uuid}`] = { linkTo: to };
  }
  for (const node of ['dm-0', 'dm-1']) {
    const name = (parts[`/sys/block/${node}/dm/name`] ?? '').trim();
    files[`dev/mapper/${name}`] = { linkTo: `../${node}` };
    files[`dev/${name.replace('-', '/')}`] = { linkTo: `../${node}` };
  }
  return files;
}
