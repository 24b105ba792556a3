import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { overlayPaths, overlayRefusal } from '../../../agent/config/overlay-paths.ts';

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
      overlayPaths({ OVERLAY }).map(({ target, options }) => [target, options.join(',')]),
      expected,
    );
  });
}
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
