import { type FstabLine, parseFstab } from '../../facts/mounts/fstab.ts';

/** As in the seed; pass 0, since XFS has no check at boot and what is sealed runs none. */
const options = ['rw', 'noexec', 'nodev', 'nosuid'];

/**
 * fstab(5) with /home on a file system of its own. Every other line stays as it is; those that named /home are
 * commented out, and the new one comes in the place of the first.
 * @param text one character a byte
 */
export function withHome(text: string, { uuid, type }: { uuid: string; type: string }): string {
  const added = `UUID=${uuid} /home ${type} ${options.join(',')} 0 0`;
  const old = homeLines(text).map(({ line }) => line - 1);
  const lines = text.split('\n');
  if (old.length === 0) {
    const end = text === '' || text.endsWith('\n') ? text : `${text}\n`;
    return `${end}${added}\n`;
  }
  return lines
    .flatMap((line, index) => {
      if (!old.includes(index)) return [line];
      return index === old[0] ? [`#${line}`, added] : [`#${line}`];
    })
    .join('\n');
}

/** fstab(5) with further options in the lines of /home, and without those that contradict them. */
export function withHomeOptions(text: string, wanted: readonly string[]): string {
  const lines = text.split('\n');
  for (const { line, options: before } of homeLines(text)) {
    const index = line - 1;
    // The fourth field, as it is written; a line may end after the third.
    const found = /^(\s*\S+\s+\S+\s+\S+)(\s*)\S*(.*)$/s.exec(lines[index] ?? '');
    const [, three = '', space = '', rest = ''] = found ?? [];
    lines[index] = `${three}${space || ' '}${mergeOptions(before, wanted).join(',')}${rest}`;
  }
  return lines.join('\n');
}

export function mergeOptions(before: readonly string[], wanted: readonly string[]): string[] {
  const against = new Set(wanted.map((option) => option.replace(/^no/, '')));
  const kept = before.filter((option) => !against.has(option) && !wanted.includes(option));
  return [...kept, ...wanted];
}

export function homeLines(text: string): FstabLine[] {
  return parseFstab(text).lines.filter(({ target }) => target === '/home');
}
