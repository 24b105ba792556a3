import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { forwardDirectory } from '../../../../agent/facts/forwarder.ts';
import { type Positions, readPositions } from '../../../../agent/forward/pipeline/positions.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const positions = suite('positions at which forwarding begins');

const [boot, earlier, machine] = ['b'.repeat(32), 'e'.repeat(32), 'd'.repeat(32)];
const clock = { realtime: () => 1_700_000_000_000_000, monotonic: () => 100, bootId: boot };
const cursorOf = (id: string) => `s=${'a'.repeat(32)};i=5;b=${id};m=64;t=1000;x=1`;
const hash = '0123456789abcdef'.repeat(2);
const record = { path: '/a.log', inode: '1:2', offset: 5, bytes: 9, modified: 1.5, head: hash, before: hash };
const good = `FILE=1:2 5 9 1.5 ${hash} ${hash} "/a.log"\n`;
const bad = good.replace('1.5', '-1.5');
const state = '/data/state';

/** Reads the positions of a system with a checkpoint and with a state on a data disk. */
function read(folder: string, checkpoint: string, durable = ''): Positions & { problems: string[] } {
  return inTemporaryDirectory((root) => {
    const problems: string[] = [];
    const files = {
      'etc/machine-id': `${machine}\n`,
      ...(checkpoint === '' ? {} : { [`${forwardDirectory.slice(1)}/cursor`]: checkpoint }),
      ...(durable === '' ? {} : { [`${state.slice(1)}/checkpoint`]: `MACHINE=${machine}\n${durable}` }),
    };
    writeFiles(root, files);
    const found = readPositions(systemReader({ root }), folder, clock, (reason) => problems.push(reason));
    return { ...found, problems };
  });
}

positions(
  'a malformed position of a log file is reported, and does not change where the journal begins',
  () => {
    const cursor = cursorOf(boot);
    const problems = [`${forwardDirectory}/cursor contains malformed positions of log files (1)`];
    assert.equal(read(forwardDirectory, `BOOT=${boot}\nCURSOR=${cursor}\n${bad}${good}`), {
      ...{ cursor, files: [record], firstBoot: 'this', trusted: true, problems },
    });
  },
);

positions('a checkpoint that is not usable is reported, with where the journal begins', () => {
  const problems = [
    `${forwardDirectory}/cursor is not a valid checkpoint; starting at this boot's first entry`,
  ];
  assert.equal(read(forwardDirectory, `CURSOR=\n${good}`), {
    ...{ cursor: '', files: [], firstBoot: 'this', trusted: true, problems },
  });
});

positions('the same on a data disk', () => {
  const cursor = cursorOf(earlier);
  const text = `BOOT=${earlier}\nCURSOR=${cursor}\n${bad}${good}`;
  const problems = [`FORWARD_STATE: ${state}/checkpoint contains malformed positions of log files (1)`];
  assert.equal(read(state, '', text), {
    ...{ cursor, files: [record], firstBoot: 'this', trusted: false, problems },
  });
  const unusable = read(state, '', `CURSOR=\n${good}`);
  assert.equal(unusable.problems, [
    `FORWARD_STATE: ${state}/checkpoint is not a valid checkpoint; starting at the oldest entry`,
  ]);
  assert.is(unusable.firstBoot, 'oldest');
});

positions.run();
