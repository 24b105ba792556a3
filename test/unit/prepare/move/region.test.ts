import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deviceNumber, shownPath } from '../../../../agent/prepare/move/region.ts';
import { folder, volume } from '../../../harness/namespaces.ts';

const region = suite('prepare home: region');
region('a path in the file system becomes a path below /home', () => {
  assert.is(shownPath(volume, '/alice'), '/home/alice');
  assert.is(shownPath(folder, '/home/alice'), '/home/alice');
});
region('device numbers of stat(2)', () => {
  assert.is(deviceNumber('64769'), '253:1');
  assert.is(deviceNumber(String((8n << 8n) | (0x300n << 12n) | 5n)), '8:773');
});
region.run();
