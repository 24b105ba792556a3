import { readFileSync, writeFileSync } from 'node:fs';
import { shapeOfStatus, stampOf } from '../test/lint/pictures.ts';

/**
 * Draws terminal output as SVG: `node docs/picture.ts build/demo/status.ansi docs/status.svg`.
 * Knows the SGR codes that `status` writes (ECMA-48, 8.3.117); everything else is text.
 */
// eslint-disable-next-line no-control-regex -- an escape sequence begins with one
const sequence = /\x1b\[([0-9;]*)m/;

const [from, to] = process.argv.slice(2);
if (from === undefined || to === undefined) throw new Error('usage: node docs/picture.ts FROM.ansi TO.svg');
writeFileSync(to, draw(readFileSync(from, 'utf8').replaceAll('\r', '')));

function draw(text: string): string {
  const lines = text.replace(/\n+$/, '').split('\n');
  const columns = Math.max(...lines.map((line) => stripped(line).length));
  const cell = { width: 8.4, height: 18, margin: 16 };
  const width = Math.ceil(columns * cell.width + 2 * cell.margin);
  const height = lines.length * cell.height + 2 * cell.margin;
  const rows = lines.flatMap((line, row) => {
    if (line === '') return [];
    const y = cell.margin + (row + 0.75) * cell.height;
    // Without a length, the text is wider than the picture where the font is wider than assumed.
    const length = (stripped(line).length * cell.width).toFixed(1);
    const fixed = `textLength="${length}" lengthAdjust="spacingAndGlyphs"`;
    return `<text x="${cell.margin}" y="${y}" ${fixed} xml:space="preserve">${spans(line)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    stampOf(shapeOfStatus()),
    '<style>text{font:14px/18px ui-monospace,"DejaVu Sans Mono",Menlo,monospace;fill:#d8dee9}',
    '.c1{font-weight:bold}.c2{fill:#8b949e}.c31{fill:#ff7b72}.c32{fill:#56d364}.c33{fill:#e3b341}</style>',
    `<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    ...rows,
    '</svg>',
    '',
  ].join('\n');
}

function stripped(line: string): string {
  return line
    .split(sequence)
    .filter((_, index) => index % 2 === 0)
    .join('');
}

function spans(line: string): string {
  const active = new Set<string>();
  return line
    .split(sequence)
    .map((part, index) => {
      if (index % 2 === 1) {
        part.split(';').forEach((code) => change(active, code));
        return '';
      }
      const text = part.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
      const classes = [...active].map((code) => `c${code}`).join(' ');
      return text === '' || classes === '' ? text : `<tspan class="${classes}">${text}</tspan>`;
    })
    .join('');
}

/** 22 ends bold and dim, 39 ends a colour, 0 ends all. */
function change(active: Set<string>, code: string): void {
  const ends: Record<string, string[]> = {
    22: ['1', '2'],
    39: ['31', '32', '33'],
    0: [...active],
    '': [...active],
  };
  for (const each of ends[code] ?? []) active.delete(each);
  if (ends[code] === undefined) active.add(code);
}
