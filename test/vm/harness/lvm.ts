import { execa } from 'execa';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { volumeName } from './layout.ts';
import type { Volume } from './layout.ts';
import type { Extent } from './loop.ts';

/**
 * Makes a device a physical volume and creates logical volumes on the device without activating them.
 *
 * @param group the name of the volume group, by default the one that RHEL's installer gives it
 * @returns the range of the device that each volume occupies, in bytes
 * @throws if a volume is not contiguous
 */
export async function placeInLvm(device: string, volumes: Volume[], group = 'rhel'): Promise<Extent[]> {
  return withPrivateLvm(device, async (lvm) => {
    await lvm('pvcreate', '--quiet', device);
    await lvm('vgcreate', '--quiet', group, device);
    for (const volume of volumes) {
      const size = ['--size', `${volume.sizeMiB}m`, '--name', volumeName(volume)];
      await lvm('lvcreate', '--quiet', '-an', '-Zn', '-Wn', '--contiguous', 'y', ...size, group);
    }
    const [dataStart = NaN] = numbers(await lvm('pvs', ...report('pe_start'), device));
    const [extentSize = NaN] = numbers(await lvm('vgs', ...report('vg_extent_size'), group));
    const segments = await lvm('lvs', '--segments', ...report('lv_name,seg_pe_ranges'), group);
    return volumes.map((volume) => extentOf(volume, segments, dataStart, extentSize));
  });
}

type Lvm = (command: string, ...args: string[]) => Promise<string>;

/** Calls `work` with LVM commands that use only one device and do not change this machine's LVM state. */
async function withPrivateLvm<T>(device: string, work: (lvm: Lvm) => Promise<T>): Promise<T> {
  const quiet =
    'backup { backup=0 archive=0 } activation { udev_sync=0 udev_rules=0 } devices { use_devicesfile=0 }';
  const common = ['--driverloaded', 'n', '--devices', device, '--config', quiet];
  return whileTemporaryDirectory((folder) =>
    work(async (command, ...args) => {
      const env = { LVM_SYSTEM_DIR: folder, LVM_SUPPRESS_FD_WARNINGS: '1' };
      const { stdout } = await execa(command, [...common, ...args], { env });
      return stdout;
    }),
  );
}

function report(fields: string): string[] {
  return ['--noheadings', '--units', 'b', '--nosuffix', '--separator', '|', '-o', fields];
}

function numbers(text: string): number[] {
  return text.split('\n').map(Number);
}

/** Parses a line such as `root|/dev/loop0:0-349`, which has the first and the last extent of a volume. */
function extentOf(volume: Volume, segments: string, dataStart: number, extentSize: number): Extent {
  const lines = segments.split('\n').map((line) => line.trim().split('|'));
  const [line, ...more] = lines.filter(([name]) => name === volumeName(volume));
  const range = /:(\d+)-(\d+)$/.exec(line?.[1] ?? '');
  if (!range || more.length > 0)
    throw new Error(`${volume.target} does not consist of one segment: ${segments}`);
  const first = Number(range[1]);
  const last = Number(range[2]);
  return { offset: dataStart + first * extentSize, size: (last - first + 1) * extentSize };
}
