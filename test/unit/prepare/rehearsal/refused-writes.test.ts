import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findRefusedWrite } from '../../../../agent/prepare/rehearsal/refused-writes.ts';

const found = suite('messages that report a refused write');
for (const [message, path] of [
  ["touch: cannot touch '/opt/agent/state': Read-only file system", '/opt/agent/state'],
  ['sh: 1: cannot create /opt/agent/state: Read-only file system', '/opt/agent/state'],
  ['/usr/lib/agent/run.sh: line 3: /opt/agent/x.pid: Read-only file system', '/opt/agent/x.pid'],
  ["mv: cannot move '/etc/v/key.new' to '/etc/v/key': Read-only file system", '/etc/v/key'],
  ["cp: cannot create regular file '/srv/a b/c': Read-only file system", '/srv/a b/c'],
  ['mkdir: cannot create directory ‘/opt/x’: Read-only file system', '/opt/x'],
  ["OSError: [Errno 30] Read-only file system: '/opt/x/y'", '/opt/x/y'],
  ["agent /opt/agent/main.py: [Errno 30] Read-only file system: '/opt/agent/db'", '/opt/agent/db'],
  ['open /opt/agent/state.db: read-only file system', '/opt/agent/state.db'],
  ["Error: EROFS: read-only file system, open '/opt/app/log.txt'", '/opt/app/log.txt'],
  ["sed: couldn't open temporary file /etc/sedAbC: Read-only file system", '/etc/sedAbC'],
  ['see http://example.com/opt/x: Read-only file system', null],
  ['a.service: Failed at step STDOUT spawning /opt/agent/bin/agent: Read-only file system', null],
  [
    'a.service: Failed to set up mount namespacing: /run/systemd/unit-root/srv/a: Read-only file system',
    '/srv/a',
  ],
  ['Failed to write state, ignoring: Read-only file system', null],
  ["cannot touch 'state': Read-only file system", null],
  ["cannot touch '/opt/../etc/shadow': Read-only file system", null],
  [`cannot touch '/${'x'.repeat(1100)}': Read-only file system`, null],
  ['cannot touch "/opt//x/./y/": Read-only file system', '/opt/x/y'],
] as const) {
  found(message.slice(0, 80), () => assert.equal(findRefusedWrite(message), { path }));
}
for (const message of [
  'Mounted the root file system read-only',
  'EXT4-fs (vda1): re-mounted. Opts: ro',
  '/opt/x: Permission denied',
  `${'x'.repeat(2000)} /opt/x: Read-only file system`,
  'XEROFSX',
]) {
  found(`no refused write: ${message.slice(0, 60)}`, () => assert.is(findRefusedWrite(message), undefined));
}
found('a hostile message is examined in a moment', () => {
  const began = performance.now();
  for (const part of ["'/", '/ ', '"/x', '‘/a'])
    findRefusedWrite(`${part.repeat(1000)}: Read-only file system`);
  assert.ok(performance.now() - began < 500);
});
found.run();
