import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { agentTree } from './agent.ts';
import { copyDisks, damageDisks, editDisks } from './disk.ts';
import type { Layout } from './layout.ts';
import type { Bus, Drive } from './qemu.ts';
import { withRunFolder } from './run-folder.ts';
import { templateOf } from './template.ts';

export interface Copy {
  layout: Layout;
  bus?: Bus;
  /** The tree on the guest's disk; by default the agent's. */
  tree?: string;
  /** As in `GuestOptions`; runs after the file and the unit have been planted. */
  damage?: Record<string, string>;
  /** Shell text that runs last; $1 is the image. */
  change?: string;
  /**
   * `qcow2`, the default, attaches a layer over each image. `raw` attaches the images themselves, so that `work` can
   * read and change them; then each boot begins with a copy of them (`harness/retry.ts`).
   */
  format?: Drive['format'];
}

/** The unit stands for data that root wrote in an earlier boot: it prints a line on the console and creates a file. */
const unit = `[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo PLANTED >/dev/console; touch /run/planted'
`;

/**
 * Calls `work` with a writable byte-for-byte copy of a guest's system disk in whose root a file and a unit are planted,
 * and with a copy of the guest's disk with /home.
 */
export async function withCopy<T>(copy: Copy, work: (drive: Drive, home: Drive) => Promise<T>): Promise<T> {
  const { layout, bus = 'virtio-blk', damage, change, format = 'qcow2' } = copy;
  const { disks } = await templateOf(layout, copy.tree ?? (await agentTree(layout.release)));
  return withRunFolder(async (folder) => {
    const own = await copyDisks(disks, folder);
    await editDisks(own, async (root) => {
      const etc = join(root, 'etc');
      await writeFile(join(etc, 'planted'), 'planted\n');
      await writeFile(join(etc, 'systemd/system/planted.service'), unit);
      await mkdir(join(etc, 'systemd/system/sysinit.target.wants'), { recursive: true });
      await execa('ln', ['-s', '../planted.service', join(etc, 'systemd/system/sysinit.target.wants')]);
      for (const { target } of layout.system.slice(1)) await writeFile(join(root, target, 'planted'), '');
    });
    if (damage) await damageDisks(own, damage);
    if (change !== undefined) await execa('sh', ['-ec', change, 'sh', own.images.system]);
    const drive = async (serial: string, image: string): Promise<Drive> => {
      const file = format === 'raw' ? image : `${image}.qcow2`;
      if (format === 'qcow2')
        await execa('qemu-img', ['create', '-q', '-f', format, '-b', image, '-F', 'raw', file]);
      return { serial, file, format, bus, readOnly: false };
    };
    return work(await drive('copy', own.images.system), await drive('home-copy', own.images.home));
  });
}

/**
 * Returns files for an initramfs that delays the udev events of some block devices.
 *
 * @param kernel pattern of kernel names, see KERNEL in udev(7)
 */
export const late = (kernel: string): Record<string, string> => ({
  'usr/lib/udev/rules.d/00-late.rules': `SUBSYSTEM=="block", ACTION=="add", KERNEL=="${kernel}", PROGRAM="/usr/bin/sleep 3"\n`,
});

/** Delays these events in the real root, whose tree is at `root`. */
export async function makeLateInRoot(root: string, kernel: string): Promise<void> {
  const folder = join(root, 'etc/udev/rules.d');
  await mkdir(folder, { recursive: true });
  for (const [path, text] of Object.entries(late(kernel)))
    await writeFile(join(folder, basename(path)), text);
}

/** Makes udev's links always point to the copy. Without this rule, the target of the links depends on a race. */
export const linksToCopy = {
  'usr/lib/udev/rules.d/99-copy.rules':
    'SUBSYSTEM=="block", ENV{ID_SERIAL}=="copy", OPTIONS+="link_priority=500"\n',
};
