import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { capacityOf } from '../../../../agent/prepare/move/space-check.ts';

const space = suite('prepare home: space check');
space('capacity of a disk', () => {
  assert.is(capacityOf(0), 0);
  assert.ok(capacityOf(1024 ** 3) < 1024 ** 3 * 0.9 && capacityOf(1024 ** 4) > 1024 ** 4 * 0.95);
});
space.run();
