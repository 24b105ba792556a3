/** Files with which the agent tells the next boot what to do, and the boot the agent, for both. */

/**
 * Makes immutafs-generator start immutafs-move.target in a maintenance boot. It is on the root file system, and contains the number of
 * boots that have tried (boot/move/boot.ts).
 */
export const moveMarker = '/etc/immutafs/move-at-boot';

/** The directory in a moved directory of the system disk that contains its old content (prepare/move/old-content.ts). */
export const oldContent = 'moved-by-immutafs-agent';

/** The folder of all files of a rehearsal on the system disk. Only root can read it and write to it. */
export const rehearsalFolder = '/etc/immutafs/rehearsal';
/** Makes the next boot a rehearsal (boot/rehearsal/rehearsal.ts). */
export const rehearsalMarker = `${rehearsalFolder}/requested`;
/** The report on the disk. The boot writes it from currentReportFile (boot/rehearsal/save.ts). */
export const savedReportFile = `${rehearsalFolder}/report.json`;
export const currentReportFile = '/run/immutafs/rehearsal.json';
