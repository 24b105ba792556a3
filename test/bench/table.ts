export interface Figure {
  name: string;
  value: number;
  /** The difference between the greatest and the least measurement, if there are several. */
  spread?: number;
  /** The value of the control, which was measured in the same run. */
  control?: number;
  unit: 's' | 'ms' | 'µs' | '/s' | 'MiB' | 'KiB' | '';
  aim?: Aim | undefined;
}

/** A target: an upper or a lower limit for the value, for value / control, or for value - control. */
type Aim = { of: 'value' | 'ratio' | 'difference' } & ({ atMost: number } | { atLeast: number });

export function figure(
  name: string,
  unit: Figure['unit'],
  value: number,
  control?: number,
  aim?: Figure['aim'],
): Figure {
  return { name, unit, value, ...(control === undefined ? {} : { control }), ...(aim && { aim }) };
}

const digits = { s: 2, ms: 1, µs: 1, '/s': 0, MiB: 1, KiB: 1, '': 0 };

/** Formats figures as lines of aligned columns. @param control the heading of the column of `Figure.control` */
export function table(figures: Figure[], control: string): string {
  const all = [
    ['figure', 'value', 'spread', control, 'ratio', 'difference', 'aim', 'met'],
    ...figures.map(row),
  ];
  const rows = figures.some(({ spread }) => spread !== undefined)
    ? all
    : all.map((cells) => cells.toSpliced(2, 1));
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: string[]): string =>
    cells
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ');
  return rows.map((cells) => `${line(cells).trimEnd()}\n`).join('');
}

/** Whether a figure meets its target; undefined if it has no target. */
export function isMet(figure: Figure): boolean | undefined {
  if (!figure.aim) return undefined;
  const reached = measured(figure)[figure.aim.of];
  if (reached === undefined) return false;
  return 'atMost' in figure.aim ? reached <= figure.aim.atMost : reached >= figure.aim.atLeast;
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  if (low === undefined || high === undefined) throw new Error('nothing was measured');
  return (low + high) / 2;
}

function row(figure: Figure): string[] {
  const { unit, aim, name } = figure;
  const { value, ratio, difference } = measured(figure);
  const met = isMet(figure);
  return [
    name,
    amount(value, unit),
    figure.spread === undefined ? '' : amount(figure.spread, unit),
    figure.control === undefined ? '' : amount(figure.control, unit),
    ratio === undefined ? '' : ratio.toFixed(2),
    difference === undefined ? '' : signed(difference, unit),
    aim ? aimText(aim, unit) : '',
    met === undefined ? '' : met ? 'yes' : 'NO',
  ];
}

function measured({ value, control }: Figure): { value: number; ratio?: number; difference?: number } {
  if (control === undefined) return { value };
  const ratio = control === 0 ? {} : { ratio: value / control };
  return { value, ...ratio, difference: value - control };
}

function aimText(aim: Aim, unit: Figure['unit']): string {
  const [sign, limit] = 'atMost' in aim ? (['<=', aim.atMost] as const) : (['>=', aim.atLeast] as const);
  if (aim.of === 'ratio') return `${sign} ${limit.toFixed(2)} times`;
  return `${sign} ${aim.of === 'difference' ? signed(limit, unit) : amount(limit, unit)}`;
}

function signed(number: number, unit: Figure['unit']): string {
  return `${number < 0 ? '' : '+'}${amount(number, unit)}`;
}

function amount(number: number, unit: Figure['unit']): string {
  return `${number.toFixed(digits[unit])} ${unit}`.trimEnd();
}
