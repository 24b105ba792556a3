import type { SystemReader } from '../../../system/reader.ts';
import { namesIfThere } from '../../engine/snapshot.ts';

/** An installed kernel. */
export interface Kernel {
  version: string;
  /** Where its initramfs is, or would be. */
  image: string;
}

/** The rescue kernel's image is a generic one that dracut never makes anew. */
export function installedKernels(reader: SystemReader): Kernel[] {
  const boot = namesIfThere(reader, '/boot');
  const inBoot = boot.flatMap((name) => /^vmlinuz-(.+)$/.exec(name)?.[1] ?? []);
  const inModules = namesIfThere(reader, '/usr/lib/modules').filter(
    (name) => reader.stat(`/usr/lib/modules/${name}/vmlinuz`) !== undefined,
  );
  return [...new Set([...inBoot, ...inModules])]
    .filter((version) => !version.startsWith('0-rescue'))
    .map((version) => {
      const debian = `initrd.img-${version}`;
      const red = `initramfs-${version}.img`;
      return { version, image: `/boot/${!boot.includes(red) && boot.includes(debian) ? debian : red}` };
    });
}

/**
 * depmod(8) writes the list after every change of a kernel's modules, as a package of the kernel does; an image that
 * was made before has the old ones. Times of the content: labels and names do not count. One that is to come, by a clock
 * that has been set back, says nothing: no image made now would be newer.
 */
export function isOlderThanModules(reader: SystemReader, { version, image }: Kernel): boolean {
  const modules = reader.stat(`/usr/lib/modules/${version}/modules.dep`)?.modified ?? 0;
  const made = reader.stat(image)?.modified ?? Infinity;
  return modules > made && modules <= reader.now().getTime();
}
