import type { SystemReader } from '../../system/reader.ts';

/**
 * Other programs that make the root read-only or mount an overlay over it: the setting that enables each of them.
 * @param argument the words of the kernel command line
 * @throws HostError
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

/** rhel-readonly.service: /usr/lib/systemd/rhel-readonly (initscripts). */
function readonlyRoot(text: string, argument: readonly string[]): string[] {
  const set = (['READONLY', 'TEMPORARY_STATE'] as const)
    .filter((name) => lastValue(text, name) === 'yes')
    .map((name) => `${name}=yes in /etc/sysconfig/readonly-root`);
  const words = argument.filter((word) => word === 'readonlyroot').map((word) => `kernel argument ${word}`);
  return [...set, ...words];
}

/** overlayroot(8): the kernel argument has precedence over the file. */
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
function isConflicting(word: string): boolean {
  const [name = '', value] = word.split(/=(.*)/s);
  const off = value !== undefined && /^(0|no|n|f|false|off|)$/.test(value);
  const conflicting = [
    'systemd.volatile',
    'rd.live.overlay.overlayfs',
    'rd.overlayfs',
    'rd.overlay',
    'lockfs',
    'fsprotect',
  ];
  return conflicting.includes(name) && !off;
}
