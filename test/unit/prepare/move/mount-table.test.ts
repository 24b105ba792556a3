import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseTable } from '../../../../agent/prepare/move/mount-table.ts';
import { folder } from '../../../harness/namespaces.ts';

const table = suite('prepare home: mount table');
table('names with blanks, and another root', () => {
  const { mounts } = parseTable('62 60 253:0 /home/a\\040b /srv/a\\040b rw - xfs x rw', folder, '/chroot');
  assert.equal([mounts[0]?.root, mounts[0]?.target], ['/home/a b', '/chroot/srv/a b']);
});
table.run();
