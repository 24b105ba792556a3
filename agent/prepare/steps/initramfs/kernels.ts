import { type SystemReader, namesIfThere } from '../../../system/reader.ts';

/** An installed kernel. */
export interface Kernel {
  version: string;
  /** The path of its initramfs, whether it exists or not. */
  image: string;
}

/** Lists the installed kernels, without the rescue kernel, whose generic image dracut never regenerates. */
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
      const redHat = `initramfs-${version}.img`;
      return { version, image: `/boot/${!boot.includes(redHat) && boot.includes(debian) ? debian : redHat}` };
    });
}

/**
 * Whether the initramfs of a kernel has old modules. depmod(8) writes modules.dep after every change of a kernel's
 * modules, so modules.dep is compared with the image, by modification time, which relabelling and renaming do not
 * change. If modules.dep has a time in the future (the clock was set back), it is ignored, because a new image would
 * not be newer either.
 */
export function isOlderThanModules(reader: SystemReader, { version, image }: Kernel): boolean {
  const modules = reader.stat(`/usr/lib/modules/${version}/modules.dep`)?.modified ?? 0;
  const made = reader.stat(image)?.modified ?? Infinity;
  return modules > made && modules <= reader.now().getTime();
}
