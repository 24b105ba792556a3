import { mock } from 'node:test';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Acknowledged, Checkpoint } from '../../../../agent/forward/pipeline/checkpoint.ts';

const checkpoint = suite('checkpoint');

checkpoint('is saved after 256 entries, or after 200 ms', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const saved: Acknowledged[] = [];
    const positions: string[] = [];
    const files = { acknowledge: (each: string) => void positions.push(each), records: () => [] };
    const it = new Checkpoint('', files, (acknowledged) => saved.push(acknowledged));
    it.acknowledge(255, ['a', '1:20', '2:30']);
    assert.equal([positions, saved, it.unsaved, it.cursor], [['1:20', '2:30'], [], 255, 'a']);
    it.acknowledge(1, ['1:40']);
    assert.equal([saved, it.unsaved], [[{ cursor: 'a', files: [] }], 0]);
    it.acknowledge(1, ['b']);
    mock.timers.tick(199);
    it.acknowledge(1, ['c']);
    assert.is(saved.length, 1);
    mock.timers.tick(1);
    assert.equal(saved.slice(1), [{ cursor: 'c', files: [] }]);
    it.save();
    it.acknowledge(0, []);
    mock.timers.tick(1000);
    assert.is(saved.length, 2, 'what is saved is not saved again');
  } finally {
    mock.timers.reset();
  }
});

checkpoint.run();
