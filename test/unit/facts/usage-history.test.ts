import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  formatUsageHistory,
  parseUsageHistory,
  readUsageHistory,
  withSample,
} from '../../../agent/facts/records.ts';
import { goodGuest, withGuest } from '../../harness/guest.ts';

const history = suite('usage history');
const sample = (uptime: number, usedBytes = 0, inodesUsed = 0) => ({ uptime, usedBytes, inodesUsed });

history('what is written is read back', () => {
  const samples = [sample(1.25, 2, 3), sample(200, 4, 5)];
  assert.equal(parseUsageHistory(formatUsageHistory('boot', samples)), { bootId: 'boot', samples });
});

history('the samples of another boot, and of no boot, are ignored', () =>
  withGuest(
    {
      ...goodGuest(),
      files: { ...goodGuest().files, 'run/immutafs/usage.json': formatUsageHistory('boot', [sample(1)]) },
    },
    (reader) => {
      assert.is(readUsageHistory(reader, 'boot').length, 1);
      assert.equal(readUsageHistory(reader, 'other'), []);
      assert.equal(readUsageHistory(reader, ''), []);
    },
  ),
);

history('no file is no sample', () =>
  withGuest(goodGuest(), (reader) => assert.equal(readUsageHistory(reader, 'boot'), [])),
);

const rows = (samples: unknown) => JSON.stringify({ schema: 1, bootId: 'b', samples });

history('a damaged or implausible file is an error, not a history', () => {
  for (const text of [
    '',
    'null',
    '[]',
    '"x"',
    '{',
    rows(undefined),
    rows({}),
    rows([[1, 2]]),
    rows([[1, 2, 3, 4]]),
    rows([[1, 2, '3']]),
    rows([[1, 2, -3]]),
    rows([[1, 1e300, 3]]),
    rows([
      [2, 0, 0],
      [1, 0, 0],
    ]),
    rows([
      [1, 0, 0],
      [1, 0, 0],
    ]),
    rows(Array.from({ length: 66 }, (_, index) => [index, 0, 0])),
    '{"bootId":"b","samples":[[1e999,0,0]]}',
  ]) {
    assert.throws(() => parseUsageHistory(text), /usage\.json/, text);
  }
});

history('any text is parsed, or refused with an error that names the file', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        parseUsageHistory(text);
      } catch (error) {
        assert.match((error as Error).message, /^\/run\/immutafs\/usage\.json: /);
      }
    }),
  );
});

history('samples are two minutes apart, in order, and bounded, whenever check runs', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 400, noNaN: true }), { maxLength: 300 }), (pauses) => {
      let [samples, uptime] = [withSample([], sample(0)), 0];
      for (const pause of pauses) samples = withSample(samples, sample((uptime += pause)));
      assert.ok(samples.length <= 65);
      samples.slice(1).forEach((each, index) => {
        assert.ok(each.uptime - (samples[index]?.uptime ?? NaN) >= 110);
      });
      assert.ok(uptime - (samples.at(-1)?.uptime ?? NaN) < 110);
    }),
  );
});
history.run();
