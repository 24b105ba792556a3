/**
 * A line of fstab(5) that can be changed in one place and stays as it is everywhere else. Texts have one character a
 * byte and no newline; escapes are left as they are.
 */
export type Pieces = string[];

/** Fields at the odd places, what is between them (perhaps nothing) at the even ones: joined, they are the line. */
export function splitLine(line: string): Pieces {
  const body = line.replace(/[ \t\r]+$/, '');
  const pieces = body.split(/([^ \t]+)/);
  return [...pieces.slice(0, -1), `${pieces.at(-1) ?? ''}${line.slice(body.length)}`];
}

/** @param pieces with at least three fields: a line without options has the default ones */
export function optionsOf(pieces: Pieces): string[] {
  return (pieces[optionsPlace] ?? 'defaults').split(',');
}

const optionsPlace = 7;
const passPlace = 11;

export function withOptions(pieces: Pieces, options: readonly string[]): Pieces {
  return withField(pieces, optionsPlace, options.join(','));
}

/** fs_passno; a line that has none has 0. */
export function withPass(pieces: Pieces, pass: number): Pieces {
  return pieces[passPlace] === undefined && pass === 0 ? pieces : withField(pieces, passPlace, `${pass}`);
}

const initial: Record<number, string> = { 7: 'defaults', 9: '0', 11: '0' };

/** Fields that are missing before it are added, too. */
function withField(pieces: Pieces, place: number, text: string): Pieces {
  const result = [...pieces];
  while (result.length <= place) {
    // What follows the last field stays at the line's end.
    const end = result.pop() ?? '';
    result.push(' ', initial[result.length + 1] ?? '', end);
  }
  result[place] = text;
  return result;
}

/**
 * Options with one added that undoes another: of two that undo each other the last counts (mount(8)).
 * @param undone is taken out: rw for ro
 */
export function addOption(options: readonly string[], wanted: string, undone: string): string[] {
  const place = options.indexOf(undone);
  const rest = options.filter((option) => option !== undone);
  if (rest.includes(wanted)) return rest;
  return place < 0 ? [...rest, wanted] : rest.toSpliced(place, 0, wanted);
}
