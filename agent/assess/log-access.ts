/** The user that runs the forwarder (units/immutafs-forward.service). */
export const forwarderUser = 'immutafs-forward';

/**
 * Returns the instruction that permits the forwarder to read a log file.
 * @param auditFile the log file of auditd
 */
export function permitReading(file: string, auditFile: string | undefined): string {
  if (file === auditFile)
    return 'Run `immutafs-agent prepare --only audit --apply` while the disk is writable.';
  const directory = file.slice(0, Math.max(1, file.lastIndexOf('/')));
  return `Permit it while the disk is writable, for rotated files as well: \`setfacl -m u:${forwarderUser}:rX,d:u:${forwarderUser}:r ${quoted(directory)}\` and \`setfacl -m u:${forwarderUser}:r ${quoted(file)}\`.`;
}

function quoted(path: string): string {
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
