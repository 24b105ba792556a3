/** The copy of a seed, for the agent, and for the boot, which makes it (boot/seed/seed.ts). */

/** The directory of all that the boot keeps of the seed. Only root can read it. */
export const seedDirectory = '/run/immutafs/seed';
/** The copy for cloud-init. */
export const seedCopy = `${seedDirectory}/nocloud`;
/** The copy of the directory immutafs of the seed, in a guest without cloud-init. */
export const seedPlainFiles = `${seedDirectory}/files`;
/** The checksums of the files that the boot wrote to /etc from it, as sha256sum(1) prints them. */
export const seedApplied = `${seedDirectory}/applied`;
/** Exists from the moment in which the copy is complete until the boot makes /etc read-only. */
export const seedReady = `${seedDirectory}/ready`;
/** The reason in boot.env if the unit of the search has ended without a result. */
export const searchKilled = 'the search for a seed was killed before it was complete';
/** The limit of a file, in bytes. */
export const seedMostBytes = 1024 * 1024;

/** A line of sha256sum(1). */
export function sumLine(sha256: string, name: string): string {
  return `${sha256}  ${name}\n`;
}
