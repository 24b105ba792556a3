import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/** The running programs. The error of a timeout contains their output. */
export const running = new Set<{ name: string; output: () => string }>();

/** Waits for a condition. @throws Error on timeout, with the name of the condition and the output of the programs */
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
