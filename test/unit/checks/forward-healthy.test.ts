import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Status } from '../../../agent/checks/check.ts';
import type { ForwardState } from '../../../agent/facts/forwarder.ts';
import { type Change, all, config, file } from '../../harness/changes.ts';
import { evaluateGuest } from '../../../agent/evaluate.ts';
import { goodGuest, withGuest } from '../../harness/guest.ts';

const target = 'relp://log.example:2514';
/** The time of the guest's clock. The guest has been up for 100 seconds. */
const now = Date.parse('2026-03-04T05:06:07.089Z');
const ago = (seconds: number) => new Date(now - seconds * 1000).toISOString();
const counts = { acknowledged: 9, repeated: 1, lost: 0, corrupt: 0, refused: 0, cut: 0, suppressed: 0 };
const state: ForwardState = {
  ...{ target, state: 'connected', since: ago(90), at: ago(5), pid: 42, lastAckAt: ago(5) },
  ...{ lag: { entries: 0, seconds: 0 }, counts, sources: [], error: '' },
};
const says = (changes: Record<string, unknown>, pid = '42'): Change =>
  all(
    file('run/immutafs/forward/state.json', JSON.stringify({ ...state, ...changes })),
    file(`proc/${pid}/comm`, 'immutafs-agent\n'),
  );
const nothing: Change = () => undefined;

/** The state that the forwarder left, the expected status, what is observed, and the uptime of the guest in seconds. */
const cases: Record<string, [Change, Status, string | RegExp, number?]> = {
  'not started, early': [nothing, 'warn', 'not started in this boot', 299],
  'not started, late': [nothing, 'fail', 'not started in this boot', 300],
  connected: [says({}), 'pass', `connected to ${target}`],
  'the process is gone, early': [says({}, '43'), 'warn', 'not running', 299],
  'the process is gone, late': [says({}, '43'), 'fail', 'not running', 300],
  stopped: [says({ state: 'stopped', error: 'no key' }), 'fail', 'not running: no key', 300],
  'connected, but the journal cannot be read': [
    says({ error: 'journalctl ended: no' }),
    'warn',
    'connected, but journalctl ended: no',
  ],
  'the last report is recent enough': [says({ at: ago(180) }), 'pass', 'connected'],
  'the last report is too old': [says({ at: ago(181) }), 'fail', 'has not reported for 181 s'],
  waiting: [
    says({ state: 'waiting', since: ago(299), error: 'refused' }),
    'warn',
    'not connected for 299 s: refused',
  ],
  'waiting too long': [says({ state: 'waiting', since: ago(300) }), 'fail', 'not connected for 300 s'],
  'connecting too long': [says({ state: 'connecting', since: ago(300) }), 'fail', 'not connected'],
  'a small lag': [says({ lag: { entries: 5, seconds: 300 } }), 'pass', 'connected'],
  'a large lag': [says({ lag: { entries: 5, seconds: 301 } }), 'warn', '301 s behind'],
  'an unknown lag': [says({ lag: { entries: null, seconds: null } }), 'pass', 'connected'],
  'repeated entries are not lost': [says({ counts: { ...counts, repeated: 7 } }), 'pass', 'connected'],
  ...Object.fromEntries(
    [
      ['lost', 'removed from the journal before they were sent'],
      ['corrupt', 'unreadable in the journal'],
      ['refused', 'refused by the server'],
      ['cut', 'truncated because they were too long'],
      ['suppressed', 'suppressed by journald'],
    ].map(([count = '', words]): [string, [Change, Status, string]] => [
      `entries are ${count}`,
      [says({ counts: { ...counts, [count]: 3 } }), 'warn', `connected, but 3 entries ${words}`],
    ]),
  ),
  ...Object.fromEntries(
    Object.entries<Record<string, unknown>>({
      'a negative count': { counts: { ...counts, lost: -1 } },
      'a count that is no whole number': { counts: { ...counts, lost: 0.5 } },
      'no counts': { counts: undefined },
      'a state that there is not': { state: 'happy' },
      'a time that is none': { at: 'now' },
      'a target that is too long': { target: 'x'.repeat(2000) },
      'a process that is none': { pid: '42' },
      'a lag that is none': { lag: { entries: 1, seconds: 'few' } },
    }).map(([title, changes]): [string, [Change, Status, RegExp]] => [
      title,
      [says(changes), 'error', /state\.json: \S+ is missing or invalid$/],
    ]),
  ),
  'a state that is not an object': [
    file('run/immutafs/forward/state.json', 'null'),
    'error',
    'state.json: the object is missing or invalid',
  ],
};

const test = suite('forward-healthy');
const findingOf = async (change: Change, uptime: number) => {
  const guest = goodGuest();
  change(guest);
  const { checks } = await withGuest(guest, (reader) =>
    evaluateGuest({ ...reader, environment: () => ({ ...reader.environment(), seconds: uptime }) }),
  );
  return checks.find(({ id }) => id === 'forward-healthy');
};
for (const [title, [change, status, said, uptime = 1000]] of Object.entries(cases)) {
  test(title, async () => {
    const finding = await findingOf(all(config(`FORWARD=${target}\n`), change), uptime);
    assert.is(finding?.status, status, finding?.observed);
    assert.match(finding?.observed ?? '', said);
    assert.is(finding?.remedy === '', status === 'pass' || status === 'error');
  });
}
test('without FORWARD the state is not read', async () => {
  const finding = await findingOf(says({ state: 'stopped' }), 1000);
  assert.is(finding?.status, 'skip');
});
test.run();
