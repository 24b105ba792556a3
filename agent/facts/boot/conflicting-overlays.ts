import type { SystemReader } from '../../system/reader.ts';

/**
 * Finds other programs that make the root file system read-only or mount an overlay over it. Returns the setting that
 * enables each program.
 * @param argument the arguments on the kernel command line
 * @throws SystemError
 */
export function findConflictingOverlays(reader: SystemReader, argument: readonly string[]): string[] {
  return [
    ...readonlyRoot(readLines(reader, '/etc/sysconfig/readonly-root'), argument),
    ...overlayroot(
      readLines(reader, '/etc/overlayroot.conf') + readLines(reader, '/etc/overlayroot.local.conf'),
      argument,
    ),
    ...argument.filter(isConflicting).map((word) => `kernel argument ${word}`),
  ];
}

function readLines(reader: SystemReader, file: string): string {
  return `${reader.readIfPresent(file, 1024 * 1024) ?? ''}\n`;
}

/** Returns the settings that enable rhel-readonly.service (/usr/lib/systemd/rhel-readonly in initscripts). */
function readonlyRoot(text: string, argument: readonly string[]): string[] {
  const set = (['READONLY', 'TEMPORARY_STATE'] as const)
    .filter((name) => lastValue(text, name) === 'yes')
    .map((name) => `${name}=yes in /etc/sysconfig/readonly-root`);
  const words = argument.filter((word) => word === 'readonlyroot').map((word) => `kernel argument ${word}`);
  return [...set, ...words];
}

/** Returns the setting that enables overlayroot(8). The kernel argument takes precedence over the file. */
function overlayroot(text: string, argument: readonly string[]): string[] {
  const words = argument.filter((word) => word.startsWith('overlayroot='));
  const last = words.at(-1);
  const value = last?.slice('overlayroot='.length) ?? lastValue(text, 'overlayroot') ?? '';
  if (value === '' || value.startsWith('disabled')) return [];
  return [last === undefined ? `overlayroot=${value} in /etc/overlayroot.conf` : `kernel argument ${last}`];
}

/** Returns the unquoted value of the last assignment to a variable in a file that a shell sources. */
function lastValue(text: string, name: string): string | undefined {
  const lines = text.split('\n').map((line) => line.trim());
  const found = lines.findLast((line) => line.startsWith(`${name}=`));
  return found?.slice(name.length + 1).replace(/^(["']?)([^"'#\s]*)\1.*$/, '$2');
}

const conflicting =
  /^(systemd\.volatile|rd\.live\.overlay\.overlayfs|rd\.overlayfs|rd\.overlay|lockfs|fsprotect)$/;

/**
 * Whether an argument enables systemd-volatile-root.service(8), an overlay of dracut.cmdline(7), bilibop or fsprotect.
 */
function isConflicting(word: string): boolean {
  const [name = '', value] = word.split(/=(.*)/s);
  const off = value !== undefined && /^(0|no|n|f|false|off|)$/.test(value);
  return conflicting.test(name) && !off;
}
