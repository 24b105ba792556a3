import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/** Waits for something to be true. @throws Error naming it after so many seconds */
export async function until(what: string, test: () => boolean | Promise<boolean>, seconds = 30): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!(await test())) {
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await sleep(20);
  }
}
