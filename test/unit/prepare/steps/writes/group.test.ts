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

grouping('an update of a package is left out', () => {
  const { groups, updates } = grouped([changed('/usr/bin/tool'), changed('/opt/agent/bin/agent', 1009)], {
    packages,
  });
  assert.equal({ groups, updates }, { groups: [], updates: 2 });
});

grouping('a change of a package file before or after its installation is named, with the package', () => {
  for (const at of [989, 1011, 1100]) {
    const { groups } = grouped([changed('/usr/bin/tool', at)], { packages });
    assert.equal(
      groups.map(({ directory, packages: names }) => [directory, names]),
      [['/usr/bin', ['tool']]],
    );
  }
});

grouping('during a transaction, only scriptlet files and directories are left out', () => {
  const { short, updates } = grouped(
    [
      changed('/usr/share/mime/mime.cache', 1150),
      changed('/etc/systemd/system/x.wants/y.service', 1150, 'l'),
      changed('/opt/agent/state', 1150),
      changed('/etc/agent.conf', 1150),
      changed('/opt/empty', 1150, 'd'),
      changed('/opt/empty2', 1300, 'd'),
    ],
    { packages },
  );
  assert.is(updates, 3);
  assert.equal(short, ['/etc unknown 1', '/opt/agent unknown 1', '/opt/empty2 unknown 1']);
});

grouping('what prepare did itself is left out', () => {
  const { own, short } = grouped([changed('/etc/fstab', 1000), changed('/etc/fstab', 1006)], {
    own: [{ from: 999, to: 1005 }],
  });
  assert.equal({ own, short }, { own: 1, short: ['/etc unknown 1'] });
});

grouping('known writers and unknown directories are groups, the important ones first', () => {
  const { short } = grouped([
    changed('/etc/adjtime'),
    changed('/etc/krb5.keytab'),
    changed('/opt/agent/lib/state/1'),
    changed('/opt/agent/lib/state/2'),
    changed('/etc/cups/printers.conf'),
    changed('/u01/oradata/system01.dbf'),
    changed('/data/x'),
  ]);
  assert.equal(short, [
    'keytab change 1',
    '/opt/agent unknown 2',
    '/data unknown 1',
    '/u01 unknown 1',
    'cups overlay 1',
    'hwclock maintenance 1',
  ]);
});

grouping('a directory is reported only if nothing in it explains its change', () => {
  const both = [changed('/opt/a', 1000, 'd'), changed('/opt/a/x')];
  assert.equal(grouped(both).short, ['/opt/a unknown 1']);
  const removed = [changed('/opt/a', 1000, 'd')];
  assert.equal(grouped(removed).short, ['/opt/a unknown 1']);
  const nested = [changed('/opt/a', 1000, 'd'), changed('/opt/a/b', 1000, 'd')];
  assert.equal(
    grouped(nested).groups.flatMap(({ paths }) => paths),
    ['/opt/a/b'],
  );
});

grouping('an accepted path is accepted, its neighbour is not', () => {
  const accepted = { ...nothing.accepted, paths: ['/opt/agent', '/etc/krb5.keytab'] };
  const { short } = grouped(
    [changed('/opt/agent/x'), changed('/opt/agent2/x'), changed('/etc/krb5.keytab')],
    { accepted },
  );
  assert.equal(short, ['/opt/agent2 unknown 1', '- accepted 2']);
});

grouping(
  'accepted changes so far are of unknown origin, not later, and not by a known or running writer',
  () => {
    const accepted = { ...nothing.accepted, until: 1000 };
    const { short } = grouped(
      [
        changed('/etc/a', 1000),
        changed('/etc/b', 1000.5),
        changed('/etc/krb5.keytab', 900),
        changed('/opt/agent/log', 900),
      ],
      { accepted, openFiles: [{ path: '/opt/agent/log', bytes: 1, who: ['agentd (7)'], pids: [] }] },
    );
    assert.equal(short, ['keytab change 1', '/etc unknown 1', '/opt/agent unknown 1', '- accepted 1']);
  },
);

grouping(
  'a file that is open for writing is reported although nothing changed, or although an update did',
  () => {
    const openFiles = [
      { path: '/opt/agent/log', bytes: 1, who: ['agentd (7)', 'agentd (8)'], pids: [] },
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

grouping('a file to which the kernel swaps is known, wherever it is', () => {
  assert.equal(grouped([changed('/opt/space')], { swapFiles: new Set(['/opt/space']) }).short, [
    'swap-file maintenance 1',
  ]);
});

grouping('a predicted write is reported once, unless it is accepted', () => {
  const predicted = ['/etc/krb5.keytab'];
  assert.equal(grouped([], { predicted }).short, ['keytab change 1']);
  assert.equal(grouped([changed('/etc/krb5.keytab')], { predicted }).short, ['keytab change 1']);
  const accepted = { ...nothing.accepted, paths: predicted };
  assert.equal(grouped([], { predicted, accepted }).short, ['- accepted 1']);
});

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

grouping('the directory of a path', () => {
  for (const [path, directory] of [
    ['/x', '/'],
    ['/opt/x', '/opt'],
    ['/opt/agent/x', '/opt/agent'],
    ['/opt/agent/a/b/x', '/opt/agent'],
    ['/etc/x', '/etc'],
    ['/etc/a/b/x', '/etc/a'],
    ['/usr/local/agent/x', '/usr/local/agent'],
    ['/usr/bin/x', '/usr/bin'],
    ['/root/.ssh/x', '/root'],
    ['/data/a/b', '/data'],
  ] as const) {
    assert.is(directoryOf(path), directory, path);
  }
});

grouping('every change is in exactly one group, an update, or a change by prepare', () => {
  const anyChange = fc.record({
    path: fc.constantFrom(
      '/etc/a',
      '/etc/adjtime',
      '/opt/x/y',
      '/usr/bin/tool',
      '/usr/lib/z',
      '/root/.cache/1',
      '/srv/s/1',
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
