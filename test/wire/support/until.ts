import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/** What runs now, for the message of a test that waits in vain. */
export const running = new Set<{ name: string; said: () => string }>();

/** Waits for something to be true. @throws Error naming it after so many seconds, with what the programs said */
export async function until(
  what: string,
  test: () => boolean | Promise<boolean>,
  seconds = 30,
): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!(await test())) {
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}\n${lastWords()}`);
    await sleep(20);
  }
}

function lastWords(): string {
  const said = [...running].map(({ name, said: words }) => `${name}: ${words().slice(-2000)}`);
  const state = '/run/immutafs/forward/state.json';
  if (fs.existsSync(state)) said.push(fs.readFileSync(state, 'utf8'));
  return said.join('\n');
}
