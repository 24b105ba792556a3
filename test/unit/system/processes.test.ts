import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { processReader } from '../../../agent/system/processes.ts';
import { whileTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const threads = suite('the thread with the memory of a process');
const noMemory = '0 0 0 0 0 0 0\n';
const memory = '3051 2008 1407 387 0 500 0\n';

/** @param sizes the content of statm of each thread @param exited threads that exit after they were listed */
function find(sizes: Record<number, string>, exited: number[] = []) {
  const files = Object.entries(sizes).flatMap(([thread, size]) => [
    [`7/task/${thread}/comm`, 'x\n'],
    ...(exited.includes(Number(thread)) ? [] : [[`${thread}/statm`, size]]),
  ]);
  return whileTemporaryDirectory((directory) => {
    writeFiles(directory, Object.fromEntries(files) as Record<string, string>);
    const reader = processReader(directory, () => undefined);
    return Promise.resolve(reader.threadWithMemory(7, () => undefined));
  });
}

const zombies = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [7 + index, noMemory]));

for (const [title, sizes, exited, expected] of [
  ['the first', { 7: memory, 8: memory }, [], 7],
  ['a kernel thread has none', { 7: noMemory }, [], undefined],
  ['the last of many, of which the others are zombies', { ...zombies, 200: memory }, [], 200],
  ['all are zombies', zombies, [], undefined],
  ['a thread that exits meanwhile', { 7: noMemory, 8: memory, 9: memory }, [8], 9],
  ['the process has exited', { 7: memory }, [7], undefined],
] as const) {
  threads(title, async () => assert.equal(await find(sizes, [...exited]), expected));
}

threads('a process that does not exist', () => {
  const reader = processReader('/proc', () => undefined);
  assert.is(
    reader.threadWithMemory(999_999_999, () => undefined),
    undefined,
  );
});
threads('the time limit ends the search', () => {
  const reader = processReader('/proc', () => undefined);
  assert.throws(
    () =>
      reader.threadWithMemory(process.pid, () => {
        throw new Error('no time left');
      }),
    /no time left/,
  );
});
threads.run();
