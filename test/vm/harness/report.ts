/** The result of a step in the guest. */
export interface Step {
  exit: number;
  stdout: string;
  stderr: string;
}

/** The report that a guest has written to its report port. */
export interface Report {
  /** Whether vmtest.service has started. */
  up: boolean;
  steps: Map<string, Step>;
  /** Whether all steps have run and the output disk is written. */
  done: boolean;
  /** `initramfs` or `system` if the guest reached an emergency shell there. */
  emergency: string | null;
}

/** Parses a possibly incomplete report. `guest/usr/local/lib/vmtest/run` describes the format. */
export function parseReport(bytes: Buffer): Report {
  const report: Report = { up: false, steps: new Map(), done: false, emergency: null };
  let position = 0;
  for (;;) {
    const end = bytes.indexOf('\n', position);
    if (end < 0) return report;
    const words = bytes.toString('latin1', position, end).split(' ');
    position = end + 1;
    if (words[0] !== 'step') {
      noteProgress(report, words);
      continue;
    }
    const [exit = NaN, stdout = NaN, stderr = NaN] = words.slice(2).map(Number);
    if (bytes.length < position + stdout + stderr) return report;
    report.steps.set(words[1] ?? '', {
      exit,
      stdout: bytes.toString('utf8', position, position + stdout),
      stderr: bytes.toString('utf8', position + stdout, position + stdout + stderr),
    });
    position += stdout + stderr;
  }
}

function noteProgress(report: Report, [word, where = '']: string[]): void {
  if (word === 'up') report.up = true;
  if (word === 'done') report.done = true;
  if (word === 'emergency') report.emergency = where;
}
