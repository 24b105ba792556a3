import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { forecastUsage } from '../../../agent/assess/forecast.ts';
import type { UsageSample } from '../../../agent/facts/records.ts';

const forecast = suite('forecast of the usage of /var');
const limits = { sizeBytes: 256 * 2 ** 20, inodes: 204_800 };

/** Returns the forecast from values that were measured every two minutes; the last one is measured now. */
function over(bytes: readonly number[], inodes: readonly number[] = [], own = limits, pause = 120) {
  const samples = bytes.map((usedBytes, index): UsageSample => ({
    uptime: 1000 + index * pause,
    usedBytes,
    inodesUsed: inodes[index] ?? 0,
  }));
  const now = samples.pop();
  if (now === undefined) throw new Error('no sample');
  return forecastUsage(samples, now, own);
}

const steady = (count: number, perSecond: number, from = 0) =>
  Array.from({ length: count }, (_, index) => from + index * 120 * perSecond);

forecast('steady growth is extrapolated', () => {
  assert.equal(over(steady(6, 10_000)), {
    secondsUntilFull: Math.round((limits.sizeBytes - 6_000_000) / 10_000),
    limit: 'bytes',
    bytesPerSecond: 10_000,
    inodesPerSecond: 0,
    overSeconds: 600,
  });
});

forecast('inodes can be exhausted first', () => {
  const found = over(steady(6, 10_000), steady(6, 100));
  assert.is(found?.limit, 'inodes');
  assert.is(found?.secondsUntilFull, Math.round((204_800 - 60_000) / 100));
});

forecast('less than ten minutes, or too few samples, is not extrapolated', () => {
  assert.is(over(steady(5, 10_000)), undefined, 'eight minutes');
  assert.is(over(steady(4, 100_000), [], limits, 300), undefined, 'three intervals');
  assert.type(over(steady(5, 100_000), [], limits, 150), 'object', 'ten minutes, four intervals');
});

forecast('flat and shrinking usage has no forecast', () => {
  assert.is(over(steady(20, 0, 1e6)), undefined);
  assert.is(over(steady(20, -5000, 1e8)), undefined);
});

forecast('a rate is not extrapolated farther than a hundred times the period', () => {
  assert.is(over(steady(6, (limits.sizeBytes / 60_000) * 0.9)), undefined);
  assert.type(over(steady(6, (limits.sizeBytes / 60_000) * 1.1)), 'object');
});

forecast('a full layer is full now', () => {
  assert.is(over(steady(6, 10_000, limits.sizeBytes))?.secondsUntilFull, 0);
});

forecast('a layer without a limit is never full', () => {
  assert.is(over(steady(6, 1e6), steady(6, 1e6), { sizeBytes: 0, inodes: 0 }), undefined);
});

forecast('growth that began ten minutes ago counts in full, after two flat hours', () => {
  const values = [...steady(55, 0, 1e6), ...steady(7, 100_000, 1e6)];
  const found = over(values);
  assert.is(found?.bytesPerSecond, 100_000);
  assert.is(found?.overSeconds, 600);
});

forecast('one jump, up or down, anywhere, is no trend', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 7, max: 60 }),
      fc.nat(),
      fc.constantFrom(-1, 1),
      fc.integer({ min: 0, max: 20_000 }),
      (count, place, sign, rate) => {
        const at = 1 + (place % (count - 1));
        const jumped = steady(count, rate, 60e6).map(
          (value, index) => value + (index >= at ? sign * 50e6 : 0),
        );
        const found = over(jumped);
        if (rate === 0) assert.is(found, undefined);
        else if (found !== undefined)
          assert.ok(Math.abs(found.bytesPerSecond - rate) < 1, `${found.bytesPerSecond}`);
      },
    ),
  );
});

forecast('two jumps are a trend, so that the property above does not hold by accident', () => {
  const values = steady(12, 0, 1e6).map(
    (value, index) => value + (index >= 9 ? 50e6 : 0) + (index >= 10 ? 50e6 : 0),
  );
  assert.type(over(values), 'object');
});

const anySamples = fc
  .array(
    fc.record({
      pause: fc.double({ min: 0.01, max: 5000, noNaN: true }),
      usedBytes: fc.maxSafeNat(),
      inodesUsed: fc.maxSafeNat(),
    }),
    { minLength: 1, maxLength: 65 },
  )
  .map((all) => {
    let uptime = 0;
    return all.map(({ pause, usedBytes, inodesUsed }) => ({
      uptime: (uptime += pause),
      usedBytes,
      inodesUsed,
    }));
  });

forecast('a forecast from any samples is finite, not negative, and bounded', () => {
  fc.assert(
    fc.property(anySamples, fc.maxSafeNat(), fc.maxSafeNat(), (all, sizeBytes, inodes) => {
      const now = all.at(-1);
      if (now === undefined) return;
      const found = forecastUsage(all.slice(0, -1), now, { sizeBytes, inodes });
      if (found === undefined) return;
      assert.ok(Number.isSafeInteger(found.secondsUntilFull) && found.secondsUntilFull >= 0);
      assert.ok(found.overSeconds >= 600 && found.secondsUntilFull <= found.overSeconds * 101);
      assert.ok(Number.isFinite(found.bytesPerSecond) && Number.isFinite(found.inodesPerSecond));
    }),
  );
});
forecast.run();
