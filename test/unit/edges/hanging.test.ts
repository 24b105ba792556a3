/** Each condition at its edge: a case on both sides, so that it cannot be another without a test turning red. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Host } from '../../../agent/host.ts';
import { all, type Change, config, mount } from '../../support/changes.ts';
import { findingOf } from '../../support/finding.ts';

const hang = suite('edges: what may hang is not touched');
for (const [type, status] of [
  ['nfs4', 'error'],
  ['fuse.sshfs', 'error'],
  ['tmpfs', 'pass'],
] as const) {
  hang(type, async () => {
    const touched: string[] = [];
    const see = (name: string) => {
      if (name.startsWith('/etc/sysconfig/')) touched.push(name);
    };
    const as = (host: Host): Host => ({
      ...host,
      read: (name, limit) => (see(name), host.read(name, limit)),
      stat: (name) => (see(name), host.stat(name)),
    });
    const change = mount('server', `0:60 / /etc/sysconfig rw,noexec - ${type} server:/x rw`);
    assert.is((await findingOf('rivals-off', change, { as })).status, status);
    assert.is(touched.length > 0, status === 'pass');
    assert.is((await findingOf('mtab-link', change, { as })).status, 'pass');
  });
}
const server = mount('server', '0:60 / /srv ro,nodev - nfs4 server:/x ro');
const answer =
  (present: string, write = 'EROFS'): Change =>
  ({ answers }) => {
    Object.assign(answers.probes, { present, write });
  };
for (const [title, target, change, id, status] of [
  ['a mount point is there, whatever a child says', '/srv', answer('NO'), 'boot-readonly', 'pass'],
  ['below it a child says whether it is', '/srv/x', answer('YES'), 'boot-readonly', 'pass'],
  ['and that it is not', '/srv/x', answer('NO'), 'boot-readonly', 'skip'],
  ['where it cannot tell, it is', '/srv/x', answer('TIMEOUT'), 'boot-readonly', 'pass'],
  ['a child writes there', '/srv', answer('YES', 'OK'), 'root-write-probe', 'fail'],
  ['and has no answer', '/srv', answer('YES', 'TIMEOUT'), 'root-write-probe', 'error'],
] as const) {
  hang(title, async () => {
    const whole = all(config(`REQUIRE_READONLY=${target}\n`), server, change);
    assert.is((await findingOf(id, whole)).status, status);
  });
}
hang('a target that cannot be looked at is held to be there', async () => {
  const as = (host: Host): Host => ({
    ...host,
    stat: (name) => {
      if (name === '/opt') throw new Error('no');
      return host.stat(name);
    },
  });
  assert.is((await findingOf('boot-readonly', config('REQUIRE_READONLY=/opt\n'), { as })).status, 'pass');
  assert.is((await findingOf('boot-readonly', config('REQUIRE_READONLY=/opt\n'))).status, 'skip');
});
hang('a folder beside it, and one that covers it, are', async () => {
  const beside = mount('server', '0:60 / /etc/sys rw - nfs4 server:/x rw');
  assert.is((await findingOf('rivals-off', beside)).status, 'pass');
  const covered = all(
    mount('server', '0:60 / /etc/sysconfig rw - nfs4 server:/x rw'),
    mount('over', '0:61 / /etc/sysconfig rw - tmpfs x rw'),
  );
  assert.is((await findingOf('rivals-off', covered)).status, 'pass');
});
hang.run();
