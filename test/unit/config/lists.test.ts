import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isAccepted, parseAccepted } from '../../../agent/config/accepted.ts';
import { overlayPaths, overlayRefusal } from '../../../agent/config/overlay-paths.ts';

const accepted = suite('accepted changes');

accepted('a path covers itself and what is below it, and nothing else', () => {
  const { paths, invalid } = parseAccepted('# comment\n\n /opt/a b \n/etc/x\n');
  assert.equal({ paths, invalid }, { paths: ['/opt/a b', '/etc/x'], invalid: [] });
  const covered = ['/opt/a b', '/opt/a b/c', '/etc/x'];
  const others = ['/opt/a', '/opt/a bc', '/etc', '/etc/xy'];
  assert.ok(covered.every((path) => isAccepted({ paths }, path)));
  assert.not.ok(others.some((path) => isAccepted({ paths }, path)));
});

accepted('the latest point in time counts', () => {
  const { until } = parseAccepted('until 2026-01-02T00:00:00Z\nuntil 2026-01-01T00:00:00.000Z\n');
  assert.is(until, Date.UTC(2026, 0, 2) / 1000);
});

accepted('everything else is invalid, and accepts nothing', () => {
  const lines = ['/', 'etc', '/a/../b', '/a//b', 'until yesterday', 'until 2026-99-99T00:00:00Z', '/a\x01'];
  const { paths, until, invalid } = parseAccepted(lines.join('\n'));
  assert.equal({ paths, until, invalid }, { paths: [], until: 0, invalid: [1, 2, 3, 4, 5, 6, 7] });
});
accepted.run();

const refused = JSON.parse(
  fs.readFileSync(path.join(import.meta.dirname, '../../fixtures/config/refused-overlays.json'), 'utf8'),
) as Record<string, string>;

const paths = suite('overlayPaths');
for (const [OVERLAY, expected] of [
  ['', []],
  ['/opt', [['/opt', 'nosuid,nodev']]],
  [
    '/opt:noexec  /opt/agent:suid,relatime /srv:dev,suid',
    [
      ['/opt', 'nosuid,nodev,noexec'],
      ['/opt/agent', 'nodev,relatime'],
      ['/srv', ''],
    ],
  ],
  [
    '/opt:noexec /root /opt',
    [
      ['/opt', 'nosuid,nodev,noexec'],
      ['/root', 'nosuid,nodev'],
    ],
  ],
] as const) {
  paths(OVERLAY || 'empty', () => {
    assert.equal(
      overlayPaths({ SEED: 'none', OVERLAY }).map(({ target, options }) => [target, options.join(',')]),
      expected,
    );
  });
}
paths('SEED=host adds /etc; its item in OVERLAY counts', () => {
  const of = (OVERLAY: string) =>
    overlayPaths({ OVERLAY, SEED: 'host' }).map(({ target, options }) => [target, ...options]);
  assert.equal(of('/root'), [
    ['/root', 'nosuid', 'nodev'],
    ['/etc', 'nosuid', 'nodev'],
  ]);
  assert.equal(of('/etc:noexec'), [['/etc', 'nosuid', 'nodev', 'noexec']]);
});
paths.run();

const refusals = suite('overlayRefusal');
for (const [target, reason] of Object.entries(refused)) {
  refusals(`${target} is refused`, () => assert.is(overlayRefusal(target), reason));
}
for (const target of [
  '/usr/local',
  '/opt',
  '/etc',
  '/etc/boot',
  '/home',
  '/bootx',
  '/var2',
  '/root',
  '/srv/run',
]) {
  refusals(`${target} is permitted`, () => assert.is(overlayRefusal(target), undefined));
}
refusals.run();
