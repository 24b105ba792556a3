import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { nameInStore, parsePersistRecord, persistItems } from '../../../../agent/facts/boot/persist.ts';
import { withLibrary } from '../../../shell/shells.ts';

const persist = suite('PERSIST');

persist('items, of which the first one with a path counts', () => {
  assert.equal(persistItems({ PERSIST: ' /a/b:exec,dev  /c /a/b' }), [
    { path: '/a/b', options: ['exec', 'dev'] },
    { path: '/c', options: [] },
  ]);
  assert.equal(persistItems({ PERSIST: '' }), []);
});

persist('the names in the store are those of the boot scripts', () => {
  for (const path of ['/a', '/var/lib/x', '/a-b/c_d.e', '/']) {
    const lines =
      '. units/unit-files.sh; . units/persist-rules.sh; name_in_store "$1"; printf %s "$kept_name"';
    assert.is(nameInStore(path), withLibrary(['dash'], lines, path));
  }
});

persist('records', () => {
  const record = (text: string) => parsePersistRecord(text, '/r');
  assert.equal(record('STATE=failed\nREASON=a=b\nREMEDY=c\n'), {
    state: 'failed',
    reason: 'a=b',
    remedy: 'c',
  });
  assert.equal(record('STATE=kept\nREASON=\nREMEDY=\n'), { state: 'kept', reason: '', remedy: '' });
  for (const bad of ['', 'STATE=x\nREASON=\nREMEDY=\n', 'STATE=kept\n', 'STATE=kept\nREASON=\nREMEDY=\nX=\n'])
    assert.throws(() => record(bad), /^\/r: not a record/);
});

persist.run();
