import type { DebianRelease } from '../vm/harness/release.ts';

/** The releases of RHEL whose own sources are built. */
export type RhelRelease = 'el8' | 'el9' | 'el10';

interface Traits {
  /** The release of Debian whose versions are nearest: its compiler and libraries build the parts of RHEL that replace its own. */
  base: DebianRelease;
  /** The LTS release of Linux for whose XFS xfsprogs has a file of options. */
  xfs: string;
}

export const rhelReleases: Readonly<Record<RhelRelease, Traits>> = {
  el8: { base: 'bullseye', xfs: '4.19' },
  el9: { base: 'bookworm', xfs: '5.15' },
  el10: { base: 'trixie', xfs: '6.6' },
};
