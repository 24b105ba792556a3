/** What one step of a scenario did in the guest. */
export interface Step {
  exit: number;
  stdout: string;
  stderr: string;
}

/** What a guest said on its report port. */
export interface Report {
  /** The scenario's unit was started. */
  up: boolean;
  steps: Map<string, Step>;
  /** Every step ran, and the out-box is written. */
  done: boolean;
  /** Where the guest gave up, if it did: `initramfs` or `system`. */
  emergency: string | null;
}

/** Reads as much of a report as has arrived. The format is in `guest/usr/local/lib/vmtest/run`. */
export function parseReport(bytes: Buffer): Report {
  const report: Report = { up: false, steps: new Map(), done: false, emergency: null };
  let position = 0;
  for (;;) {
    const end = bytes.indexOf('\n', position);
    if (end < 0) return report;
    const words = bytes.toString('latin1', position, end).split(' ');
    position = end + 1;
    if (words[0] !== 'step') {
      note(report, words);
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

function note(report: Report, [word, where = '']: string[]): void {
  if (word === 'up') report.up = true;
  if (word === 'done') report.done = true;
  if (word === 'emergency') report.emergency = where;
}
