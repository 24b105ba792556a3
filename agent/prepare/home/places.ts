/** Root's alone, in memory: after a power cut nothing of it is left. */
export const workFolder = '/run/immutafs/prepare';

/** Where the new file system is mounted while /home is copied to it. */
export const staging = `${workFolder}/home`;

/** A read-only view of the old /home, from which it is bound over it. */
export const frozen = `${workFolder}/frozen`;

/** The root's file system without what is mounted on it: what /home was is below it. */
export const system = `${workFolder}/system`;
