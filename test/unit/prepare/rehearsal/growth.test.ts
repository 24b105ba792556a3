import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Sample, measureGrowth } from '../../../../agent/prepare/rehearsal/growth.ts';

const MiB = 1024 ** 2;
const sample = (
  at: number,
  usedMiB: number,
  largest: Record<string, number> = {},
  inodesUsed = 10,
): Sample => ({
  at,
  usage: { type: 0, sizeBytes: 256 * MiB, usedBytes: usedMiB * MiB, inodes: 10_000, inodesUsed },
  largest: Object.entries(largest).map(([path, size]) => ({ path, bytes: size * MiB, inodes: 1 })),
});

const growth = suite('the growth of the layers');
growth('1 MiB/s: the file, the rate, and when the layers are full', () => {
  const found = measureGrowth(
    sample(100, 20, { '/var/lib/grower': 5, '/var/log/audit': 3 }),
    sample(160, 80, { '/var/lib/grower': 65, '/var/log/audit': 3 }),
  );
  assert.is(found?.seconds, 60);
  assert.is(found?.bytes, 60 * MiB);
  assert.equal(found?.largest, [{ path: '/var/lib/grower', bytes: 60 * MiB, inodes: 0 }]);
  assert.equal(found?.forecast, { full: 'in', seconds: 176 });
});
for (const [title, first, last, forecast] of [
  ['constant', sample(100, 20), sample(1000, 20), { full: 'not within', seconds: 900_000 }],
  ['shrinking', sample(100, 20), sample(160, 10), { full: 'not within', seconds: 600 }],
  ['too short', sample(100, 20), sample(129, 250), { full: 'unknown' }],
  [
    'a short measurement predicts ten times its length',
    sample(100, 20),
    sample(160, 43),
    { full: 'in', seconds: 556 },
  ],
  ['and not more', sample(100, 20), sample(160, 40), { full: 'not within', seconds: 600 }],
  [
    'a long one allows a longer forecast',
    sample(100, 20),
    sample(1900, 21),
    { full: 'in', seconds: 423_000 },
  ],
  [
    'inodes are full before bytes',
    sample(0, 20, {}, 1000),
    sample(60, 30, {}, 4000),
    { full: 'in', seconds: 120 },
  ],
  ['full already', sample(0, 100), sample(60, 256), { full: 'in', seconds: 0 }],
  [
    'journald limits its own files',
    sample(0, 20, { '/var/log/journal': 8 }),
    sample(60, 52, { '/var/log/journal': 40 }),
    { full: 'not within', seconds: 600 },
  ],
] as const) {
  growth(title, () => assert.equal(measureGrowth(first, last)?.forecast, forecast));
}
growth('nothing to compare', () => {
  assert.is(measureGrowth(undefined, sample(1, 1)), null);
  assert.is(measureGrowth(sample(1, 1), undefined), null);
  assert.is(measureGrowth(sample(1, 1), sample(1, 1)), null);
});
growth.run();
