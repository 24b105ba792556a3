import fs from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { categoryOf, ignoredByDefault, ignores } from '../../../agent/changes/category.ts';
import type { Change } from '../../../agent/changes/change.ts';
import { formatTime } from '../../../agent/changes/json.ts';
import { readRemembered, sinceFile } from '../../../agent/changes/since.ts';
import { summarize } from '../../../agent/changes/summary.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

const change = (path: string, more: Partial<Change> = {}): Change => ({
  ...{
    path,
    layer: '/var',
    change: 'added',
    what: [],
    xattrs: [],
    capable: false,
    type: 'file',
    mode: 0o644,
  },
  ...{ uid: 0, gid: 0, size: 10, mtime: 0n, ctime: 0n, inode: 1n, device: '0:0' },
  ...more,
});

const category = suite('category');
for (const [path, more, expected] of [
  ['/var/spool/cron/root', {}, 'cron'],
  ['/var/spool/cron/crontabs/root', { change: 'deleted' }, 'cron'],
  ['/var/spool/cron/atjobs/a0001', {}, 'at'],
  ['/var/spool/cron/atjobs/.SEQ', {}, undefined],
  ['/var/spool/at/a0001', {}, 'at'],
  ['/var/spool/cron', { type: 'directory' }, undefined],
  ['/run/systemd/system/x.service', {}, 'unit'],
  ['/run/systemd/system.control/x.d/y.conf', {}, 'unit'],
  ['/run/systemd/transient/run-1.service', {}, 'unit'],
  ['/run/systemd/transient/session-1.scope', {}, undefined],
  ['/run/systemd/system/session-1.scope', {}, undefined],
  ['/run/systemd/system/session-1.scope.d/50-After-systemd-logind\\x2eservice.conf', {}, undefined],
  ['/run/systemd/system/user-1000.slice.d/50-CPUShares.conf', {}, undefined],
  ['/run/systemd/system.control/user-1000.slice.d/50-CPUWeight.conf', {}, undefined],
  ['/run/systemd/system/session-1.scope', { type: 'symlink' }, 'unit'],
  ['/run/systemd/system/session-1.scope.service', {}, 'unit'],
  ['/run/systemd/system/session-1.service', {}, 'unit'],
  ['/run/systemd/system/session-1.service.d/50-x.conf', {}, 'unit'],
  ['/run/systemd/system/session-1.scope.wants/x.service', {}, 'unit'],
  ['/run/systemd/system/session-1.scope.d/x.conf/y.service', {}, 'unit'],
  ['/run/systemd/system/session-1.scope', { mode: 0o4755 }, 'setuid'],
  ['/etc/systemd/system/x.slice', {}, 'unit'],
  ['/run/systemd/generator/x.mount', {}, undefined],
  ['/etc/systemd/system/x.service', {}, 'unit'],
  ['/root/.config/systemd/user/x.service', {}, 'unit'],
  ['/run/udev/rules.d/x.rules', {}, 'udev'],
  ['/home/u/.ssh/authorized_keys', {}, 'login'],
  ['/var/x', { mode: 0o4755 }, 'setuid'],
  ['/var/x', { capable: true }, 'setuid'],
  ['/var/x', { mode: 0o2755, type: 'directory' }, undefined],
  ['/var/x', { type: 'block' }, 'device'],
  ['/var/x', { mode: 0o755 }, 'executable'],
  ['/var/x', { mode: 0o755, change: 'modified', what: ['mtime'] }, undefined],
  ['/var/x', { mode: 0o755, change: 'modified', what: ['content'] }, 'executable'],
  ['/var/x', { mode: 0o755, change: 'deleted' }, undefined],
  ['/var/x', {}, undefined],
] as const satisfies readonly (readonly [string, Partial<Change>, string | undefined])[]) {
  category(`${path} ${JSON.stringify(more)}`, () => assert.is(categoryOf(change(path, more)), expected));
}
category.run();

const ignoring = suite('--ignore');
for (const [pattern, path, expected] of [
  ['/var/log/**', '/var/log', true],
  ['/var/log/**', '/var/log/a/b', true],
  ['/var/log/**', '/var/logs', false],
  ['/var/*/x', '/var/a/x', true],
  ['/var/*/x', '/var/a/b/x', false],
  ['/var/**/x', '/var/a/b/x', true],
  ['/var/{a,b.c}', '/var/b.c', true],
  ['/var/{a,b.c}', '/var/bxc', false],
  ['/var/?', '/var/\n', true],
  ['/var/a+(b)[c]', '/var/a+(b)[c]', true],
  ['/var/a-b', '/var/a-b', true],
] as const) {
  ignoring(`${pattern} ${JSON.stringify(path)}`, () => assert.is(ignores([pattern])(path), expected));
}
ignoring('no pattern ignores nothing', () => assert.is(ignores([])('/var'), false));
ignoring.run();

const view = suite('default view');
const lines = (changes: Change[], isComplete = true) => {
  const summary = summarize(ignores(ignoredByDefault));
  for (const each of changes) summary.add(each);
  return summary.lines(isComplete);
};
view('notable changes come first, logs are only counted, but not a set-uid program among them', () => {
  const found = lines([
    change('/var/log/messages'),
    change('/var/lib/x/data'),
    change('/var/log/x', { mode: 0o4755 }),
    change('/run/systemd/system/x.service'),
    change('/var/spool/cron/root'),
  ]);
  assert.equal(
    found.slice(0, 3).map((line) => line.split(/ +/).slice(0, 3).join(' ')),
    [
      'cron added /var/spool/cron/root',
      'unit added /run/systemd/system/x.service',
      'setuid added /var/log/x',
    ],
  );
  assert.equal(found.slice(3, 5), ['', '/var/lib/x  1 added, 10 B']);
  assert.match(found[5] ?? '', /^Not listed: 1 added, 10 B /);
  assert.match(found[6] ?? '', /^5 changes/);
});
view('100 logins on systemd 219 hide no unit, and are service state', () => {
  const logins = Array.from({ length: 100 }, (_, index) =>
    ['', '.d/50-Description.conf', '.d/50-Slice.conf'].map((name) =>
      change(`/run/systemd/system/session-${index}.scope${name}`),
    ),
  ).flat();
  const directory = change('/run/systemd/system/session-1.scope.d', { type: 'directory' });
  const found = lines([...logins, directory, change('/run/systemd/system/session-1.service')]);
  assert.match(found[0] ?? '', /^unit +added +\/run\/systemd\/system\/session-1\.service /);
  assert.match(found[1] ?? '', /^Not listed: 301 added/);
  assert.is(found.length, 3);
});
view('"nothing" is only said if everything was compared', () => {
  assert.equal(lines([]), ['Nothing differs from the sealed disk.']);
  assert.not.match(lines([], false).join(), /Nothing/);
});
view('many directories are combined, and no change is lost', () => {
  const many = Array.from({ length: 9000 }, (_, index) => change(`/var/lib/${index % 90}/${index}/file`));
  const found = lines(many);
  assert.ok(found.length < 50);
  const added = found.map((line) => Number(/(\d+) added/.exec(line)?.[1] ?? 0)).reduce((a, b) => a + b, 0);
  assert.is(added, 9000);
});
view('names cannot write to the terminal', () => {
  assert.match(
    lines([change('/var/x\n\x1b[31m\xff', { mode: 0o755 })])[0] ?? '',
    '/var/x\\n\\u001b[31m\\\\xff',
  );
});
view.run();

const time = suite('time');
for (const [nanoseconds, expected] of [
  [0n, '1970-01-01T00:00:00.000000000Z'],
  [-1n, '1969-12-31T23:59:59.999999999Z'],
  [1_500_000_000_123_456_789n, '2017-07-14T02:40:00.123456789Z'],
  [2n ** 63n * 1000n, '9223372036854 s'],
] as const) {
  time(expected, () => assert.is(formatTime(nanoseconds), expected));
}
time.run();

const since = suite('--since-report');
const inGuest = (action: (report: (limit: number, ...changes: Change[]) => string, root: string) => void) =>
  inTemporaryDirectory((root) => {
    fs.mkdirSync(path.join(root, 'run/immutafs'), { recursive: true });
    action((limit, ...changes) => {
      const remembered = readRemembered(systemReader({ root }), limit);
      const found = changes.filter((each) => remembered.isNew(each)).map((each) => each.path);
      return `${found.join(' ')} ${remembered.store(systemWriter(root))}`;
    }, root);
  });
since('shows each change once, and again if the file changed', () =>
  inGuest((report, root) => {
    assert.is(report(9, change('/a'), change('/b')), '/a /b 0');
    assert.is(report(9, change('/a'), change('/b', { ctime: 5n }), change('/c')), '/b /c 0');
    assert.is(report(9, change('/a', { change: 'deleted' })), '/a 0');
    assert.is(fs.statSync(path.join(root, sinceFile)).mode & 0o777, 0o600);
  }),
);
since('shows a file again whose content changed while the clock was set back', () =>
  inGuest((_report, root) => {
    const isNew = (content: string) => {
      const remembered = readRemembered(systemReader({ root }));
      const found = remembered.isNew(change('/a'), content);
      remembered.store(systemWriter(root));
      return found;
    };
    assert.equal([isNew('one'), isNew('one'), isNew('other')], [true, false, true]);
  }),
);
since('repeats what did not fit', () =>
  inGuest((report) => {
    assert.is(report(1, change('/a'), change('/b')), '/a /b 1');
    assert.is(report(1, change('/a'), change('/b')), '/b 1');
  }),
);
since('does not accept a file that another user can have written', () =>
  inGuest((report, root) => {
    report(9, change('/a'));
    fs.chmodSync(path.join(root, sinceFile), 0o666);
    assert.throws(() => report(9, change('/a')), /users other than root/);
  }),
);
since.run();
