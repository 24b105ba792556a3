import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Candidate, bestSealed, posesAsMember } from '../../../agent/assess/impostor-rule.ts';

const candidate = (name: string, hostReadOnly: boolean | null): Candidate => ({
  name,
  hostReadOnly,
  serials: [],
});

const best = suite('the best sealed devices');
for (const [title, devices, expected] of [
  ['none', [], ''],
  ['only writable ones', [candidate('a', false), candidate('b', false)], ''],
  [
    'evidence of the host before a flag',
    [candidate('a', null), candidate('b', true), candidate('c', false)],
    'b',
  ],
  ['a flag before a writable disk', [candidate('a', false), candidate('b', null)], 'b'],
  ['equal evidence', [candidate('a', true), candidate('b', true)], 'a b'],
] as const) {
  best(title, () =>
    assert.is(
      bestSealed(devices)
        .map(({ name }) => name)
        .join(' '),
      expected,
    ),
  );
}
best.run();

const volume = (uuid: string, groupUuid: string, group: string) => ({ uuid, groupUuid, group });
const members = suite('a physical volume that poses as a member');
for (const [title, sealed, given, expected] of [
  ['the name of the group', [volume('1', 'g', 'rhel')], volume('9', 'other', 'rhel'), 'rhel'],
  ['the UUID of the group', [volume('1', 'g', 'rhel')], volume('9', 'g', 'other'), 'rhel'],
  ['neither', [volume('1', 'g', 'rhel')], volume('9', 'other', 'data'), undefined],
  [
    'a listed member',
    [volume('1', 'g', 'rhel'), volume('9', 'g', 'rhel')],
    volume('9', 'g', 'rhel'),
    undefined,
  ],
  ['the sealed group has no name', [volume('1', 'g', '')], volume('9', 'g', ''), undefined],
  ['the second of two groups', [volume('1', 'g', 'a'), volume('2', 'h', 'b')], volume('9', 'h', 'x'), 'b'],
  [
    'the last group of this name or UUID',
    [volume('1', 'g', 'a'), volume('2', 'h', 'b')],
    volume('9', 'g', 'b'),
    'b',
  ],
  ['no sealed group', [], volume('9', 'g', 'rhel'), undefined],
] as const) {
  members(title, () => assert.is(posesAsMember(sealed, given), expected));
}
members.run();
