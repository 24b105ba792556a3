import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Explanations,
  directoryOf,
  groupChanges,
} from '../../../../../agent/prepare/steps/writes/group.ts';
import { noPackages } from '../../../../../agent/prepare/steps/packages.ts';
import type { Change } from '../../../../../agent/prepare/steps/writes/search.ts';

const grouping = suite('groups of changes');

const nothing: Explanations = {
  packages: noPackages,
  own: [],
  accepted: { paths: [], until: 0, invalid: [], text: null },
  swapFiles: new Set(),
  openFiles: [],
  predicted: [],
};
const changed = (path: string, at = 1000, type = 'f'): Change => ({ path, at, type });

/** Describes groups as "key outcome count". */
function grouped(changes: readonly Change[], explanations: Partial<Explanations> = {}) {
  const result = groupChanges(changes, { ...nothing, ...explanations });
  return {
    ...result,
    short: result.groups.map(
      ({ writer, directory, outcome, count }) => `${writer ?? directory ?? '-'} ${outcome} ${count}`,
    ),
  };
}

const installing = { from: 990, to: 1010 };
const packages = {
  ownerOf: new Map([
    ['/usr/bin/tool', { name: 'tool', installing }],
    ['/opt/agent/bin/agent', { name: 'agent', installing }],
  ]),
  transactions: [{ from: 990, to: 1200 }],
};
const accepting = (paths: string[], until = 0) => ({ accepted: { ...nothing.accepted, paths, until } });
const agentLog = { path: '/opt/agent/log', bytes: 1, who: ['agentd (7)'], pids: [] };
const predicted = ['/etc/krb5.keytab'];

/** The changes, what is known, the groups, and how many changes updates and `prepare` made. */
const cases: Record<
  string,
  [Change[], Partial<Explanations>, string[], { updates?: number; own?: number }?]
> = {
  'an update of a package is left out': [
    [changed('/usr/bin/tool'), changed('/opt/agent/bin/agent', 1009)],
    { packages },
    [],
    { updates: 2 },
  ],
  'during a transaction, only scriptlet files and directories are left out': [
    [
      changed('/usr/share/mime/mime.cache', 1150),
      changed('/etc/systemd/system/x.wants/y.service', 1150, 'l'),
      changed('/opt/agent/state', 1150),
      changed('/etc/agent.conf', 1150),
      changed('/opt/empty', 1150, 'd'),
      changed('/opt/empty2', 1300, 'd'),
    ],
    { packages },
    ['/etc unknown 1', '/opt/agent unknown 1', '/opt/empty2 unknown 1'],
    { updates: 3 },
  ],
  'what prepare did itself is left out': [
    [changed('/etc/fstab', 1000), changed('/etc/fstab', 1006)],
    { own: [{ from: 999, to: 1005 }] },
    ['/etc unknown 1'],
    { own: 1 },
  ],
  'known writers and unknown directories are groups, the important ones first': [
    [
      ...[changed('/etc/adjtime'), changed('/etc/krb5.keytab'), changed('/opt/agent/lib/state/1')],
      ...[changed('/opt/agent/lib/state/2'), changed('/etc/cups/printers.conf')],
      ...[changed('/u01/oradata/system01.dbf'), changed('/data/x')],
    ],
    {},
    [
      ...['keytab change 1', '/opt/agent unknown 2', '/data unknown 1', '/u01 unknown 1'],
      ...['cups overlay 1', 'hwclock maintenance 1'],
    ],
  ],
  'a directory is not reported if a file in it explains its change': [
    [changed('/opt/a', 1000, 'd'), changed('/opt/a/x')],
    {},
    ['/opt/a unknown 1'],
  ],
  'a directory is reported if nothing explains its change': [
    [changed('/opt/a', 1000, 'd')],
    {},
    ['/opt/a unknown 1'],
  ],
  'an accepted path is accepted, its neighbour is not': [
    [changed('/opt/agent/x'), changed('/opt/agent2/x'), changed('/etc/krb5.keytab')],
    accepting(['/opt/agent', '/etc/krb5.keytab']),
    ['/opt/agent2 unknown 1', '- accepted 2'],
  ],
  'accepted changes so far are of unknown origin, not later, and not by a known or running writer': [
    [
      ...[changed('/etc/a', 1000), changed('/etc/b', 1000.5), changed('/etc/krb5.keytab', 900)],
      changed('/opt/agent/log', 900),
    ],
    { ...accepting([], 1000), openFiles: [agentLog] },
    ['keytab change 1', '/etc unknown 1', '/opt/agent unknown 1', '- accepted 1'],
  ],
  'a file to which the kernel swaps is known, wherever it is': [
    [changed('/opt/space')],
    { swapFiles: new Set(['/opt/space']) },
    ['swap-file maintenance 1'],
  ],
  'a predicted write is reported': [[], { predicted }, ['keytab change 1']],
  'a predicted write that has happened is reported once': [
    [changed('/etc/krb5.keytab')],
    { predicted },
    ['keytab change 1'],
  ],
  'a predicted write that is accepted': [[], { predicted, ...accepting(predicted) }, ['- accepted 1']],
};
for (const [title, [changes, explanations, expected, left]] of Object.entries(cases)) {
  grouping(title, () => {
    const { short, updates, own } = grouped(changes, explanations);
    assert.equal({ short, updates, own }, { short: expected, updates: 0, own: 0, ...left });
  });
}

grouping('a change of a package file before or after its installation is named, with the package', () => {
  for (const at of [989, 1011, 1100]) {
    const { groups } = grouped([changed('/usr/bin/tool', at)], { packages });
    assert.equal(
      groups.map(({ directory, packages: names }) => [directory, names]),
      [['/usr/bin', ['tool']]],
    );
  }
});

grouping('a new directory explains the change of the directory above it', () => {
  const { groups } = grouped([changed('/opt/a', 1000, 'd'), changed('/opt/a/b', 1000, 'd')]);
  assert.equal(
    groups.flatMap(({ paths }) => paths),
    ['/opt/a/b'],
  );
});

grouping(
  'a file that is open for writing is reported although nothing changed, or although an update did',
  () => {
    const openFiles = [
      { ...agentLog, who: ['agentd (7)', 'agentd (8)'] },
      { path: '/usr/bin/tool', bytes: 1, who: ['x (9)'], pids: [] },
    ];
    const { groups } = grouped([changed('/usr/bin/tool')], { openFiles, packages });
    assert.equal(
      groups.map(({ directory, openBy, newest }) => [directory, openBy, newest]),
      [
        ['/opt/agent', ['agentd (7)', 'agentd (8)'], null],
        ['/usr/bin', ['x (9)'], '1970-01-01T00:16:40.000Z'],
      ],
    );
  },
);

grouping('a group lists the last changed paths first, and few of them', () => {
  const many = Array.from({ length: 1000 }, (_, index) => changed(`/opt/a/${index}`, 5000 - index));
  const [group] = grouped(many.toReversed()).groups;
  assert.is(group?.count, 1000);
  assert.equal(group?.paths, ['/opt/a/0', '/opt/a/1', '/opt/a/2', '/opt/a/3', '/opt/a/4']);
  assert.is(group?.newest, new Date(5_000_000).toISOString());
});

grouping('many directories end in one group, and no change is lost', () => {
  const many = Array.from({ length: 500 }, (_, index) => changed(`/opt/${index}/x`));
  const { groups } = grouped(many);
  assert.is(groups.length, 101);
  assert.is(
    groups.reduce((sum, { count }) => sum + count, 0),
    500,
  );
});

for (const [path, directory] of Object.entries({
  ...{ '/x': '/', '/opt/x': '/opt', '/opt/agent/x': '/opt/agent', '/opt/agent/a/b/x': '/opt/agent' },
  ...{ '/etc/x': '/etc', '/etc/a/b/x': '/etc/a', '/usr/local/agent/x': '/usr/local/agent' },
  ...{ '/usr/bin/x': '/usr/bin', '/root/.ssh/x': '/root', '/data/a/b': '/data' },
})) {
  grouping(`the directory of ${path}`, () => assert.is(directoryOf(path), directory));
}

grouping('every change is in exactly one group, an update, or a change by prepare', () => {
  const anyChange = fc.record({
    path: fc.constantFrom(
      ...['/etc/a', '/etc/adjtime', '/opt/x/y', '/usr/bin/tool', '/usr/lib/z', '/root/.cache/1', '/srv/s/1'],
    ),
    at: fc.integer({ min: 950, max: 1250 }),
    type: fc.constantFrom('f', 'l', 's'),
  });
  fc.assert(
    fc.property(fc.uniqueArray(anyChange, { selector: ({ path }) => path }), (changes) => {
      const { groups, updates, own } = grouped(changes, { packages, own: [{ from: 960, to: 970 }] });
      const count = groups.reduce((sum, group) => sum + group.count, 0);
      assert.is(count + updates + own, changes.length);
    }),
  );
});
grouping.run();
