import { type RhelRelease, rhelReleases } from '../../el/releases.ts';

/** The releases of Debian from which guests are made. */
export type DebianRelease = 'trixie' | 'bookworm' | 'bullseye';

export type Release = DebianRelease | RhelRelease;

/** What differs when a guest of a release is made with the tools of this machine. */
interface Traits {
  /** The mirror of mmdebstrap; by default its own, with security updates. */
  mirror?: string;
  /** Lines of sources.list(5) for further packages; by default those of this machine. */
  sources?: readonly string[];
  /** Further options of mmdebstrap. */
  debootstrap: readonly string[];
  /** Options with which mkfs makes file systems that the release's kernel and programs know. */
  mkfs: MkfsOptions;
}

export interface MkfsOptions {
  xfs: readonly string[];
  ext4: readonly string[];
}

/** @param kernel the LTS release of Linux for whose XFS xfsprogs has a file of options */
const older = (kernel: string, debootstrap: string): Traits => ({
  debootstrap: [debootstrap],
  mkfs: {
    xfs: ['-c', `options=/usr/share/xfsprogs/mkfs/lts_${kernel}.conf`],
    ext4: ['-O', '^orphan_file,^metadata_csum_seed'],
  },
});

// /usr of these releases is merged only on request. RHEL's has been merged since version 7.
const mergeUsr = '/usr/share/mmdebstrap/hooks/merged-usr';

const archive = 'http://deb.debian.org/debian';

export const releases: Readonly<Record<DebianRelease, Traits>> = {
  /** Debian 13: systemd 257, Linux 6.12, dracut 106. */
  trixie: { debootstrap: [], mkfs: { xfs: [], ext4: [] } },
  /** Debian 12: systemd 252, as in RHEL 9, Linux 6.1, dracut 059. */
  bookworm: {
    ...older('6.1', `--hook-dir=${mergeUsr}`),
    sources: [`deb ${archive} bookworm main`, `deb ${archive}-security bookworm-security main`],
  },
  /**
   * Debian 11: systemd 247, Linux 5.10, dracut 051. Only packages of the last point release, because the archive of
   * security updates has become incomplete since the end of its support.
   */
  bullseye: {
    ...older('5.10', `--extract-hook=${mergeUsr}/extract00.sh`),
    mirror: archive,
    sources: [`deb ${archive} bullseye main`],
  },
};

/** @returns options with which mkfs makes file systems that the release's kernel and programs know */
export function mkfsOptions(release: Release): MkfsOptions {
  return isRhel(release) ? older(rhelReleases[release].xfs, '').mkfs : releases[release].mkfs;
}

export const isRhel = (release: Release): release is RhelRelease => Object.hasOwn(rhelReleases, release);

/** The release of Debian whose packages the guest has. */
export const debianOf = (release: Release): DebianRelease =>
  isRhel(release) ? rhelReleases[release].base : release;

/** The release of the guests that do not name one: `GUEST_RELEASE` of the environment, by default Debian 13. */
export const usualRelease: Release = releaseOf(process.env['GUEST_RELEASE'] ?? 'trixie');

function releaseOf(name: string): Release {
  const known = [...Object.keys(releases), ...Object.keys(rhelReleases)] as Release[];
  const found = known.find((each) => each === name);
  if (found === undefined) throw new Error(`GUEST_RELEASE=${name}: expected ${known.join(', ')}`);
  return found;
}
