import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { logReport } from '../../../agent/report/log.ts';
import { sample } from '../../harness/sample-report.ts';

const log = suite('journal');
log('one entry for each finding, then the verdict', () => {
  const entries: { level: number; message: string; fields: Record<string, string> }[] = [];
  logReport(sample, (level, message, fields) => void entries.push({ level, message, fields }));
  assert.equal(
    entries.map(({ level, message }) => [level, message]),
    [
      [6, 'root-readonly: pass: /x: seen'],
      [3, 'host-enforced: fail: /x: seen. To fix: Fix it.'],
      [4, 'initramfs-hook: warn: /x: seen'],
      [6, 'other-options: skip: seen'],
      [3, 'mtab-link: error: /x: seen'],
      [3, 'Verdict: failed (disk vda is read-only (virtio-feature))'],
    ],
  );
  const ids = entries.map(({ fields }) => fields['MESSAGE_ID'] ?? '');
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
  assert.is(entries[1]?.fields['IMMUTAFS_CHECK'], 'host-enforced');
  assert.is(entries[1]?.fields['IMMUTAFS_STATUS'], 'fail');
  assert.is(entries.at(-1)?.fields['IMMUTAFS_VERDICT'], 'failed');
});
log.run();
