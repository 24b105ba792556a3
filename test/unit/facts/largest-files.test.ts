import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findLargestFiles } from '../../../agent/facts/largest-files.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { all, file, usage } from '../../harness/changes.ts';
import { goodGuest, evaluateFixture } from '../../harness/guest.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const up = { target: '/var', upper: '/up' };

const largest = suite('findLargestFiles');
largest('down to two levels, by bytes and by inodes', () => {
  inTemporaryDirectory((root) => {
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`up/spool/mail/${index}`, '']));
    writeFiles(root, {
      'up/log/journal/a/b': 'x'.repeat(200_000),
      'up/log/messages': 'x'.repeat(9000),
      ...many,
    });
    const found = findLargestFiles(systemReader({ root }), [up]);
    assert.is(found[0]?.path, '/var/log/journal');
    assert.ok((found[0]?.bytes ?? 0) >= 200_000);
    assert.is(found[0]?.inodes, 3);
    const mail = found.find((each) => each.path === '/var/spool/mail');
    assert.is(mail?.inodes, 51);
  });
});
largest('the upper layers of all overlays, each below its target', () => {
  inTemporaryDirectory((root) => {
    writeFiles(root, { 'up/log/a': 'x', 'opt/agent/logs/deep/b': 'x'.repeat(200_000) });
    const found = findLargestFiles(systemReader({ root }), [up, { target: '/opt', upper: '/opt' }]);
    assert.is(found[0]?.path, '/opt/agent/logs');
    assert.ok(
      found.some(({ path: each }) => each === '/opt/agent'),
      JSON.stringify(found),
    );
    assert.ok(found.some(({ path: each }) => each === '/var/log/a'));
  });
});
largest('many small files are listed as well as a few large ones', () => {
  inTemporaryDirectory((root) => {
    const large = Array.from({ length: 6 }, (_, index) => [`up/large${index}`, 'x'.repeat(100_000)]);
    const small = Array.from({ length: 20 }, (_, index) => [`up/spool/many/${index}`, '']);
    writeFiles(root, Object.fromEntries([...large, ...small]) as Record<string, string>);
    const found = findLargestFiles(systemReader({ root }), [up]).map(({ path: each }) => each);
    assert.ok(found.includes('/var/spool/many'), found.join());
  });
});
largest('a mount point is not accessed', () => {
  inTemporaryDirectory((root) => {
    writeFiles(root, { 'up/a/b': 'x', 'up/hangs/c': 'x' });
    const reader = systemReader({ root });
    const touched: string[] = [];
    const watched = { ...reader, stat: (file: string) => (touched.push(file), reader.stat(file)) };
    const found = findLargestFiles(watched, [up], (file) => file === '/up/hangs');
    assert.equal(found.map(({ path: each }) => each).sort(), ['/var/a', '/var/a/b']);
    assert.equal(touched, ['/up/a', '/up/a/b']);
  });
});
largest('a sparse file counts its allocated bytes', () => {
  inTemporaryDirectory((root) => {
    fs.mkdirSync(path.join(root, 'up'));
    fs.closeSync(fs.openSync(path.join(root, 'up/sparse'), 'w'));
    fs.truncateSync(path.join(root, 'up/sparse'), 1e9);
    assert.is(findLargestFiles(systemReader({ root }), [up])[0]?.bytes, 0);
  });
});
largest('an endless tree ends after 20,000 entries', () => {
  const endless = { ...systemReader(), list: () => ['a', 'b'], stat: () => directory };
  assert.ok(findLargestFiles(endless, [up]).length > 0);
});
const times = { mode: 0o755, uid: 0, gid: 0, changed: 0, modified: 0, device: '0:1', inode: 1 };
const directory = { kind: 'directory', bytes: 0, allocatedBytes: 4096, ...times } as const;
largest.run();

const nearlyFull = suite('largest files of a report');
for (const [title, change, expected] of [
  ['bytes at the warning', usage({ usedBytes: 0.8 * 256 * 1024 * 1024 }), ['/var/big']],
  ['inodes at the warning', usage({ inodesUsed: 0.8 * 204800 }), ['/var/big']],
  [
    'below the warning nothing is read',
    usage({ usedBytes: 0.79 * 256 * 1024 * 1024, inodesUsed: 0.79 * 204800 }),
    [],
  ],
] as const) {
  nearlyFull(title, async () => {
    const guest = goodGuest();
    all(change, file('run/var/upper/big', 'x'))(guest);
    const report = await evaluateFixture(guest);
    assert.equal(
      report.var.largest.map(({ path }) => path),
      expected,
    );
  });
}
nearlyFull.run();
