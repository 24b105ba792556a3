import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { checks } from '../../agent/checks/index.ts';
import { formatText } from '../../agent/report/text.ts';
import { sample } from '../harness/sample-report.ts';

const statusPicture = 'docs/status.svg';

/** Returns what determines the form of the output of `status`: how it shows a fixed report, and the number of checks. */
export function shapeOfStatus(): string {
  return `${formatText(sample, { all: false, color: true, columns: 120 })}${checks.length} checks\n`;
}

/** Returns the comment by which a picture says of which shape it was drawn. */
export function stampOf(shape: string): string {
  return `<!-- shape ${createHash('sha256').update(shape).digest('hex').slice(0, 16)} -->`;
}

/** @returns a line if the picture was drawn before the output got its present shape; otherwise an empty text */
export function stalePictures(shape = shapeOfStatus()): string {
  if (fs.readFileSync(statusPicture, 'utf8').includes(stampOf(shape))) return '';
  return `${statusPicture} is older than the form of what status prints: npm run picture`;
}
