import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { attributeNotes, foreignNames } from '../../../../agent/prepare/move/not-copied.ts';

const notCopied = suite('prepare home: what a copy leaves out');
notCopied('directories of another file system, with any name', () => {
  const found = foreignNames('41 /home/sub\x0042 /home/a\nb\x00');
  assert.is(found.length, 2);
  assert.match(found[0] ?? '', /^\/home\/sub is a file system of its own/);
  assert.match(found[1] ?? '', '/home/a\nb is a file system');
  assert.equal(foreignNames(''), []);
});
notCopied('attributes that the file system sets itself are not named', () => {
  assert.equal(
    attributeNotes('--------------e------- /home/a\n----------I---e------- /home/d\n', '/home'),
    [],
  );
  const [note = ''] = attributeNotes(
    '----i---------e------- /home/a b\n-----a---------------- /home/log\n',
    '/home',
  );
  assert.match(note, '/home/a b (immutable), /home/log (append-only). ');
});
notCopied.run();
