import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Change } from '../../../agent/changes/change.ts';
import { readRemembered, sinceFile } from '../../../agent/changes/since.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

const change = (path: string, more: Partial<Change> = {}): Change => ({
  ...{
    path,
    layer: '/var',
    change: 'added',
    what: [],
    xattrs: [],
    capable: false,
    type: 'file',
    mode: 0o644,
  },
  ...{ uid: 0, gid: 0, size: 1, mtime: 2n, ctime: 3n, inode: 4n, device: '0:0', sparse: false },
  ...more,
});

const since = suite('--since-report');
const inGuest = (action: (report: (limit: number, ...changes: Change[]) => string, root: string) => void) =>
  inTemporaryDirectory((root) => {
    fs.mkdirSync(path.join(root, 'run/immutafs'), { recursive: true });
    action((limit, ...changes) => {
      const remembered = readRemembered(systemReader({ root }), limit);
      const found = changes.filter((each) => remembered.isNew(each)).map((each) => each.path);
      return `${found.join(' ')} ${remembered.store(systemWriter(root))}`;
    }, root);
  });
since('shows each change once, and again if the file changed', () =>
  inGuest((report, root) => {
    assert.is(report(9, change('/a'), change('/b')), '/a /b 0');
    assert.is(report(9, change('/a'), change('/b', { ctime: 5n }), change('/c')), '/b /c 0');
    assert.is(report(9, change('/a', { change: 'deleted' })), '/a 0');
    assert.is(fs.statSync(path.join(root, sinceFile)).mode & 0o777, 0o600);
  }),
);
since('shows a file again whose content changed while the clock was set back', () =>
  inGuest((_report, root) => {
    const isNew = (content: string) => {
      const remembered = readRemembered(systemReader({ root }));
      const found = remembered.isNew(change('/a'), content);
      remembered.store(systemWriter(root));
      return found;
    };
    assert.equal([isNew('one'), isNew('one'), isNew('other')], [true, false, true]);
  }),
);
since('repeats what did not fit', () =>
  inGuest((report) => {
    assert.is(report(1, change('/a'), change('/b')), '/a /b 1');
    assert.is(report(1, change('/a'), change('/b')), '/b 1');
  }),
);
since('does not accept a file that another user can have written', () =>
  inGuest((report, root) => {
    report(9, change('/a'));
    fs.chmodSync(path.join(root, sinceFile), 0o666);
    assert.throws(() => report(9, change('/a')), /users other than root/);
  }),
);
since.run();
