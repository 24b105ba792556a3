import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin } from '../../harness/collection.ts';

const losses = suite('the state that a restart discards');

const loss = (name: string, bytes: unknown, more: Record<string, unknown> = {}) =>
  JSON.stringify({
    ...{ schema: 1, service: null, name, directories: [name], units: [], files: 2, bytes },
    ...{ lastWrite: '2026-03-04T05:06:07.000Z', loses: 'what was written here since the boot', ...more },
  });
const line = (name: string, size: string) =>
  `${name}: ${size} in 2 files: a restart loses what was written here since the boot`;
const lines = (...each: string[]) => each.map((text) => `${text}\n`).join('');
const said = (rc: number | null, stdout = '', stderr = '', msg = '') => ({ rc, stdout, stderr, msg });

const [older, small] = [
  'the agent in the guest is missing, or older than the option --state of immutafs-agent changes',
  loss('/var/lib/a', 5),
];
const redis = {
  ...{ service: 'redis', directories: ['/var/lib/redis'], units: ['redis.service'], files: 1 },
  loses: 'every key\u001b[2J',
};

for (const [title, result, problem, ...found] of [
  ['nothing', said(0), null],
  ['no layer, in maintenance mode', said(4, '', 'immutafs-agent: no layer'), null],
  [
    'the largest first',
    said(0, lines(small, loss('/var/lib/b', 3 * 2 ** 20))),
    ...[null, line('/var/lib/b', '3.0 MiB'), line('/var/lib/a', '5 B')],
  ],
  [
    'a known service, with its directories and units, and without control characters',
    said(0, lines(loss('Redis', 5, redis))),
    ...[null, 'Redis, /var/lib/redis (redis.service): 5 B in 1 file: a restart loses every key\ufffd[2J'],
  ],
  [
    'warnings that a terminal mixes into the output',
    said(0, lines('immutafs-agent: a note', small)),
    ...[null, line('/var/lib/a', '5 B')],
  ],
  [
    'an incomplete list',
    said(3, lines(small), 'immutafs-agent: not every entry'),
    'immutafs-agent changes --state ended with 3: immutafs-agent: not every entry',
    line('/var/lib/a', '5 B'),
  ],
  [
    'an agent without the option',
    said(2, '', "error: unknown option '--state'"),
    `${older} (error: unknown option '--state')`,
  ],
  ['no agent', said(127, '', 'sh: not found'), `${older} (sh: not found)`],
  ['no answer', said(null, '', '', 'the guest: timeout'), 'the guest: timeout'],
  ['no answer and no message', { rc: null }, 'the guest does not answer'],
  ...['{', '{}', loss('/var/lib/a', -1), loss('/var/lib/a', 5, { directories: 7 })].map(
    (text) =>
      [
        `a line that no agent prints: ${text}`,
        said(0, lines(text)),
        'immutafs-agent changes --state printed something that is not a loss',
      ] as const,
  ),
] as const) {
  losses(title, () => assert.equal(callPlugin('filter.losses', 'losses', result), { lines: found, problem }));
}

losses('of many losses, the largest are listed', () => {
  const many = Array.from({ length: 53 }, (_, index) => loss(`/var/lib/${index}`, index));
  const found = callPlugin('filter.losses', 'losses', said(0, lines(...many))) as { lines: string[] };
  assert.is(found.lines.length, 51);
  assert.is(found.lines[0], line('/var/lib/52', '52 B'));
  assert.is(found.lines[50], 'and state in 3 further places');
});

losses.run();
