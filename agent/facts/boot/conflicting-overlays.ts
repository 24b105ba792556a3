import { errorCode } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/**
 * What else makes a root read-only or puts layers over it on this guest, each with what says so.
 * @param argument the words of the kernel command line
 */
export function findConflictingOverlays(reader: SystemReader, argument: readonly string[]): string[] {
  return [
    ...readonlyRoot(optional(reader, '/etc/sysconfig/readonly-root'), argument),
    ...overlayroot(
      optional(reader, '/etc/overlayroot.conf') + optional(reader, '/etc/overlayroot.local.conf'),
      argument,
    ),
    ...argument.filter(isRivalArgument).map((word) => `kernel argument ${word}`),
  ];
}

function optional(reader: SystemReader, file: string): string {
  try {
    return `${reader.read(file, 1024 * 1024)}\n`;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errorCode(error))) return '';
    throw error;
  }
}

/** rhel-readonly.service: /usr/lib/systemd/rhel-readonly (initscripts). */
function readonlyRoot(text: string, argument: readonly string[]): string[] {
  const set = (['READONLY', 'TEMPORARY_STATE'] as const)
    .filter((name) => lastValue(text, name) === 'yes')
    .map((name) => `${name}=yes in /etc/sysconfig/readonly-root`);
  const words = argument.filter((word) => word === 'readonlyroot').map((word) => `kernel argument ${word}`);
  return [...set, ...words];
}

/** overlayroot(8): the kernel argument wins over the file. */
function overlayroot(text: string, argument: readonly string[]): string[] {
  const words = argument.filter((word) => word.startsWith('overlayroot='));
  const last = words.at(-1);
  const value = last?.slice('overlayroot='.length) ?? lastValue(text, 'overlayroot') ?? '';
  if (value === '' || value.startsWith('disabled')) return [];
  return [last === undefined ? `overlayroot=${value} in /etc/overlayroot.conf` : `kernel argument ${last}`];
}

/** The value of the last assignment in a file that a shell sources, without its quotes. */
function lastValue(text: string, name: string): string | undefined {
  const lines = text.split('\n').map((line) => line.trim());
  const found = lines.findLast((line) => line.startsWith(`${name}=`));
  return found?.slice(name.length + 1).replace(/^(["']?)([^"'#\s]*)\1.*$/, '$2');
}

/** systemd.volatile= (systemd-volatile-root.service(8)), dracut's overlays (dracut.cmdline(7)), bilibop. */
function isRivalArgument(word: string): boolean {
  const [name = '', value] = word.split(/=(.*)/s);
  const off = value !== undefined && /^(0|no|n|f|false|off|)$/.test(value);
  const rivals = [
    'systemd.volatile',
    'rd.live.overlay.overlayfs',
    'rd.overlayfs',
    'rd.overlay',
    'lockfs',
    'fsprotect',
  ];
  return rivals.includes(name) && !off;
}
