/** A file system (or swap space) of a guest. */
export interface Volume {
  /** Where the guest mounts it; `swap` for swap space. */
  target: string;
  filesystem: 'xfs' | 'ext4' | 'swap';
  sizeMiB: number;
  /** The fourth field of its line in a prepared fstab; `defaults` without it. */
  options?: string;
}

/** How a guest's disks are divided. What a host does with them (bus, read-only) is said at each boot. */
export interface Layout {
  /** What lies between the partition table and the file systems. md and LUKS would be further words here. */
  stack: 'partition' | 'lvm';
  /** A partition of its own in every stack, as RHEL's installer makes it. */
  boot: Volume;
  /** The root first, then what is mounted below it, outer before inner. */
  system: Volume[];
  /** On the second disk, which the host leaves writable. */
  home: Volume | null;
  /** How fstab is written: ready to be sealed, or as an installer leaves it, with `defaults` everywhere. */
  fstab: 'prepared' | 'installed';
}

const sealedOptions = 'defaults,noexec,nodev,nosuid';

const boot: Volume = { target: '/boot', filesystem: 'ext4', sizeMiB: 256, options: 'ro' };
const home: Volume = { target: '/home', filesystem: 'xfs', sizeMiB: 320, options: sealedOptions };

function root(filesystem: 'xfs' | 'ext4'): Volume {
  return { target: '/', filesystem, sizeMiB: 1400, options: 'ro' };
}

const separateVar: Volume = { target: '/var', filesystem: 'xfs', sizeMiB: 512 };
const separateLog: Volume = { target: '/var/log', filesystem: 'xfs', sizeMiB: 320 };

/** RHEL's default installation, and the main case: the root is an XFS in LVM. */
export const xfsOnLvm: Layout = { stack: 'lvm', boot, system: [root('xfs')], home, fstab: 'prepared' };

/** `xfsOnLvm` with variations; e.g. `{ stack: 'partition' }`. */
export function layout(changes: Partial<Layout>): Layout {
  return { ...xfsOnLvm, ...changes };
}

export const xfsOnPartition = layout({ stack: 'partition' });
export const ext4OnPartition = layout({ stack: 'partition', system: [root('ext4')] });
export const ext4OnLvm = layout({ system: [root('ext4')] });
export const varOnLvm = layout({ system: [root('xfs'), separateVar] });
export const varAndLogOnLvm = layout({ system: [root('xfs'), separateVar, separateLog] });

/** The logical volume's name: `root`, `var`, `var_log`, `swap`. */
export function volumeName({ target }: Volume): string {
  return target === '/' ? 'root' : target.replace(/^\//, '').replaceAll('/', '_');
}

/** The device that a guest finds a volume of the stack by, in fstab and as `root=`. */
export function devicePath({ stack }: Layout, volume: Volume): string {
  return stack === 'lvm' ? `/dev/mapper/rhel-${volumeName(volume)}` : `UUID=${volumeUuid(volume)}`;
}

/** The same for every image of a layout, so that a copied image needs no new fstab. */
export function volumeUuid(volume: Volume): string {
  const hex = Buffer.from(volumeName(volume)).toString('hex').padEnd(12, '0').slice(0, 12);
  return `1f5a0000-0000-4000-8000-${hex}`;
}
