import { type Release, usualRelease } from './release.ts';

/** A file system (or swap space) of a guest. */
export interface Volume {
  /** Mount point in the guest; `swap` for swap space. */
  target: string;
  filesystem: 'xfs' | 'ext4' | 'swap';
  sizeMiB: number;
  /** Mount options in a prepared fstab; default: `defaults`. */
  options?: string;
}

/** The volumes on a guest's disks. Bus and read-only state are options of each boot. */
export interface Layout {
  /** The release of Debian on the system disk. The file systems have only features that its kernel knows. */
  release: Release;
  /** The layer between the partition table and the file systems. */
  stack: 'partition' | 'lvm';
  /** A separate partition in every stack, as created by RHEL's installer. */
  boot: Volume;
  /** The root, then the volumes mounted below the root, outer volumes before inner volumes. */
  system: Volume[];
  /** The volume on the second disk, which is always attached writable. */
  home: Volume | null;
  /** `prepared`: fstab is ready for sealing. `installed`: as an installer writes it, with `defaults` everywhere. */
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

/** RHEL's default installation and the main case: an XFS root on LVM. */
export const xfsOnLvm: Layout = {
  release: usualRelease,
  stack: 'lvm',
  boot,
  system: [root('xfs')],
  home,
  fstab: 'prepared',
};

/** Returns `xfsOnLvm` with changes, for example `{ stack: 'partition' }`. */
export function layout(changes: Partial<Layout>): Layout {
  return { ...xfsOnLvm, ...changes };
}

export const xfsOnPartition = layout({ stack: 'partition' });
export const ext4OnPartition = layout({ stack: 'partition', system: [root('ext4')] });
export const ext4OnLvm = layout({ system: [root('ext4')] });
/** The layout that an installer creates, with /home in the root. */
export const homeInRoot = layout({
  system: [
    { target: '/', filesystem: 'xfs', sizeMiB: 1400 },
    { target: '/tmp', filesystem: 'ext4', sizeMiB: 64 },
    { target: 'swap', filesystem: 'swap', sizeMiB: 64 },
  ],
  home: null,
  fstab: 'installed',
});
export const varOnLvm = layout({ system: [root('xfs'), separateVar] });
export const varAndLogOnLvm = layout({ system: [root('xfs'), separateVar, separateLog] });

/** Returns the name of a logical volume, such as `root`, `var`, `var_log` or `swap`. */
export function volumeName({ target }: Volume): string {
  return target === '/' ? 'root' : target.replace(/^\//, '').replaceAll('/', '_');
}

/** Returns the device of a volume for fstab and `root=`. */
export function devicePath({ stack }: Layout, volume: Volume): string {
  return stack === 'lvm' ? `/dev/mapper/rhel-${volumeName(volume)}` : `UUID=${volumeUuid(volume)}`;
}

/** Returns the UUID of a volume. The UUID depends only on the volume's name, so a copied image needs no new fstab. */
export function volumeUuid(volume: Volume): string {
  const hex = Buffer.from(volumeName(volume)).toString('hex').padEnd(12, '0').slice(0, 12);
  return `1f5a0000-0000-4000-8000-${hex}`;
}
