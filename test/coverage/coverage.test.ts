import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checks } from '../../agent/checks/index.ts';
import { inRoot } from '../../packaging/build/paths.ts';
import { coverageTable } from './coverage.ts';

const coverage = suite('the coverage page');

/** Rows by their first cell. */
function rowsOf(page: string): Map<string, string[]> {
  const lines = page.split('\n').filter((line) => line.startsWith('| '));
  const cells = lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  return new Map(cells.map(([name = '', ...others]) => [name, others]));
}

coverage('a check is found by its id in the tests, and each check has a row', async () => {
  const rows = rowsOf(await coverageTable());
  const [, smoke, matrix] = rows.get('`root-log`') ?? [];
  assert.equal([smoke, matrix], ['maintenance', '–']);
  assert.match(rows.get('`swap-off`')?.[2] ?? '', 'unprepared');
  for (const { id } of checks) assert.ok(rows.has(`\`${id}\``), id);
});

coverage('a layout is found by its name, by an alias, as a row, and as the default', async () => {
  const rows = rowsOf(await coverageTable());
  assert.match(rows.get('`varAndLogOnLvm`')?.[0] ?? '', 'sealed');
  assert.match(rows.get('`ext4OnPartition`')?.[1] ?? '', 'identity');
  assert.equal(rows.get('ext4, partition, in root, virtio-scsi, enforcing'), ['–', 'layouts', '–']);
  assert.match(rows.get('`xfsOnLvm`')?.[0] ?? '', 'selinux');
});

coverage('a layout has the release of its scenario', async () => {
  const rows = rowsOf(await coverageTable());
  assert.equal(rows.get('xfs, lvm, nested, virtio-scsi, enforcing, bookworm'), ['–', '–', 'layouts']);
  assert.equal(rows.get('`xfsOnLvm`, bookworm'), ['–', '–', 'identity-layouts, persist']);
  assert.not.match(rows.get('`xfsOnLvm`')?.[2] ?? '', /\bpersist(,|$)/);
});

coverage('each forgery and fault of IDENTITY=host is that of a test', async () => {
  const rows = [...rowsOf(await coverageTable()).entries()].filter(([, [file = '']]) =>
    /^`test\/.*\.ts`$/.test(file),
  );
  assert.ok(rows.length > 30);
  for (const [forgery, [file = '', title = '']] of rows)
    assert.ok(readFileSync(inRoot(file.slice(1, -1)), 'utf8').includes(`'${title}'`), forgery);
});

coverage.run();
