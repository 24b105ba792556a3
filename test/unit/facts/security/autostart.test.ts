import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findAutostart } from '../../../../agent/facts/security/autostart.ts';
import { valueOf } from '../../../../agent/facts/observed.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { inDirectories, writeFiles } from '../../../harness/temporary.ts';

const autostart = suite('what starts from home directories');
const autostartIn = inDirectories(autostart);
autostartIn('a directory that a user may have filled is not read as a whole', (root) => {
  const units = 'home/alice/.config/systemd/user';
  writeFiles(root, {
    'etc/passwd': 'alice:x:1000:1000::/home/alice:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/bash\n',
    [`${units}/a.service`]: '',
    [`${units}/b.service`]: '',
    'home/bob/.config/systemd/user/x/y': '',
  });
  const reader = systemReader({ root });
  const listed: string[] = [];
  const list = (directory: string) => {
    listed.push(directory);
    return reader.list(directory);
  };
  const found = findAutostart({ ...reader, list });
  assert.equal(
    found.map(({ user, found: home }) => [user, valueOf(home)?.units]),
    [
      ['alice', true],
      ['bob', true],
    ],
  );
  assert.equal(
    listed.filter((directory) => directory.startsWith('/home')),
    [],
  );
});
autostart.run();
