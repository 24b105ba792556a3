import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/** The running programs, whose output is part of the error if a test waits too long. */
export const running = new Set<{ name: string; output: () => string }>();

/** Waits for a condition. @throws Error after so many seconds, with the condition's name and the programs' output */
export async function until(
  what: string,
  test: () => boolean | Promise<boolean>,
  seconds = 30,
): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!(await test())) {
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}\n${recentOutput()}`);
    await sleep(20);
  }
}

function recentOutput(): string {
  const texts = [...running].map(({ name, output }) => `${name}: ${output().slice(-2000)}`);
  const state = '/run/immutafs/forward/state.json';
  if (fs.existsSync(state)) texts.push(fs.readFileSync(state, 'utf8'));
  return texts.join('\n');
}
