import { mock } from 'node:test';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FileReader } from '../../../../agent/forward/files/file-reader.ts';
import { LogFiles } from '../../../../agent/forward/files/log-files.ts';

const reading = suite('reader of log files');

/** Returns how often a reader looks for lines in ten seconds, and whether it has reached the end. */
function looksIn10Seconds(patterns: readonly string[]): { looks: number; settled: boolean } {
  mock.timers.enable({ apis: ['setTimeout'] });
  const files = new LogFiles({
    ...{ patterns, records: [], auditFile: '', trusted: true, booted: () => 0 },
    firstOffset: () => 0,
    trouble: () => undefined,
  });
  const next = mock.method(files, 'next');
  const reader = new FileReader(files, { lines: () => undefined, lost: () => undefined });
  reader.start();
  for (let second = 0; second < 10; second += 1) mock.timers.tick(1000);
  reader.stop();
  mock.timers.reset();
  return { looks: next.mock.callCount(), settled: reader.settled };
}

reading('looks for lines every second', () => {
  assert.equal(looksIn10Seconds(['/nonexistent/log']), { looks: 11, settled: true });
});

reading('without log files, never looks, and is at the end at once', () => {
  assert.equal(looksIn10Seconds([]), { looks: 0, settled: true });
});

reading.run();
