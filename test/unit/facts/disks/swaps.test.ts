import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseSwaps } from '../../../../agent/facts/disks/swaps.ts';

const bytes = fc.string({
  unit: fc.nat({ max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 80,
});

const swaps = suite('/proc/swaps');
const heading = 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n';
swaps('none', () => assert.equal(parseSwaps(heading), []));
swaps('a partition on EL7 and a file on Linux 6', () => {
  const el7 = '/dev/dm-1                               partition\t2097148\t264\t-1\n';
  const linux6 = '/swap\\040file\\040(deleted)                      file\t\t1048572\t\t0\t\t-2\n';
  assert.equal(parseSwaps(heading + el7 + linux6), [
    { source: '/dev/dm-1', type: 'partition' },
    { source: '/swap file', type: 'file' },
  ]);
});
for (const bad of ['', 'x\n', `${heading}/dev/dm-1\n`, `${heading}/dev/dm-1 disk 1 2 3\n`]) {
  swaps(`refused: ${JSON.stringify(bad.slice(-20))}`, () => assert.throws(() => parseSwaps(bad), /swaps/));
}
swaps('any text: parsed, or an error that names the line', () => {
  fc.assert(
    fc.property(bytes, (garbage) => {
      try {
        parseSwaps(heading + garbage);
      } catch (error) {
        assert.match((error as Error).message, /^\/proc\/swaps line \d+ is malformed$/);
      }
    }),
  );
});
swaps.run();
