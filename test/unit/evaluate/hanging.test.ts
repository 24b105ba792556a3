/** Tests that file systems that may hang are not accessed, with cases on either side of each condition. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SystemReader } from '../../../agent/system/reader.ts';
import { all, type Change, config, file, fstab, mount } from '../../harness/changes.ts';
import { findingOf } from '../../harness/finding.ts';

const hang = suite('file systems that may hang');
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
    const as = (reader: SystemReader): SystemReader => ({
      ...reader,
      read: (name, limit) => (see(name), reader.read(name, limit)),
      readIfPresent: (name, limit) => (see(name), reader.readIfPresent(name, limit)),
      stat: (name) => (see(name), reader.stat(name)),
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
    answers.probes.present = present;
    answers.tryWrite = write;
  };
for (const [title, target, change, id, status] of [
  ['a mount point exists, whatever the child answers', '/srv', answer('NO'), 'boot-readonly', 'pass'],
  ['below a mount point the child answers: it exists', '/srv/x', answer('YES'), 'boot-readonly', 'pass'],
  [
    'below a mount point the child answers: it does not exist',
    '/srv/x',
    answer('NO'),
    'boot-readonly',
    'skip',
  ],
  [
    'below a mount point the child does not answer: it is taken to exist',
    '/srv/x',
    answer('TIMEOUT'),
    'boot-readonly',
    'pass',
  ],
  ['the child writes to it', '/srv', answer('YES', 'OK'), 'root-write-probe', 'fail'],
  ['the child’s write does not end', '/srv', answer('YES', 'TIMEOUT'), 'root-write-probe', 'error'],
] as const) {
  hang(title, async () => {
    const whole = all(config(`REQUIRE_READONLY=${target}\n`), server, change);
    assert.is((await findingOf(id, whole)).status, status);
  });
}
hang('a target that may hang is probed in its own child, all others in one', async () => {
  const groups: string[][] = [];
  const as = (reader: SystemReader): SystemReader => ({
    ...reader,
    tryWrites: (directories) => {
      groups.push([...directories]);
      return Promise.resolve(directories.map(() => 'EROFS'));
    },
  });
  const change = all(config('REQUIRE_READONLY=/boot /srv /link\n'), server, file('link', { linkTo: 'srv' }));
  assert.is((await findingOf('root-write-probe', change, { as })).status, 'pass');
  assert.equal(groups, [['/', '/boot'], ['/srv'], ['/link']]);
});

/** Each way in which a path can lead to a file system that may hang, with a counterpart. */
for (const [title, files, target, status] of [
  ['a link that is not followed', { 'etc/mtab': { linkTo: '../srv/mounts' } }, '/srv', 'pass'],
  ['a file below a link', { 'etc/sysconfig': { linkTo: '../srv/conf' } }, '/srv', 'error'],
  ['a link to another place', { 'etc/sysconfig': { linkTo: '../opt' } }, '/srv', 'pass'],
  [
    'a link to a link',
    { 'etc/sysconfig': { linkTo: 'second' }, 'etc/second': { linkTo: '../srv/./x/' } },
    '/srv',
    'error',
  ],
  [
    'a cycle of links',
    { 'etc/sysconfig': { linkTo: 'second' }, 'etc/second': { linkTo: 'sysconfig' } },
    '/srv',
    'error',
  ],
  ['a link up and down', { 'etc/sysconfig': { linkTo: '../../../srv' } }, '/srv', 'error'],
] as const) {
  hang(`through ${title}`, async () => {
    const touched: string[] = [];
    const see = (name: string) => void touched.push(name);
    const as = (reader: SystemReader): SystemReader => ({
      ...reader,
      read: (name, limit) => (see(name), reader.read(name, limit)),
      readIfPresent: (name, limit) => (see(name), reader.readIfPresent(name, limit)),
      stat: (name) => (see(name), reader.stat(name)),
      link: (name) => (see(name), reader.link(name)),
    });
    const change = all(
      mount('server', `0:60 / ${target} rw,noexec - nfs4 server:/x rw`),
      ...Object.entries<{ linkTo: string }>(files).map(([name, content]) => file(name, content)),
    );
    assert.is((await findingOf('rivals-off', change, { as })).status, status);
    const below = touched.filter((name) => name === target || name.startsWith(`${target}/`));
    assert.equal(below, []);
    assert.is(
      touched.some((name) => name === '/etc/sysconfig/readonly-root'),
      status === 'pass',
    );
  });
}

for (const [title, layers, status] of [
  ['the upper layer', 'lowerdir=/opt,upperdir=/srv/u,workdir=/srv/w', 'error'],
  ['a lower layer', 'lowerdir=/opt:/srv/a,upperdir=/run/u,workdir=/run/w', 'error'],
  ['a lower layer given by lowerdir+', 'lowerdir+=/opt,lowerdir+=/srv/a', 'error'],
  ['no layer', 'lowerdir=/opt:/srvx,upperdir=/run/u,workdir=/run/w', 'pass'],
] as const) {
  hang(`an overlay: ${title} may hang`, async () => {
    const change = all(
      mount('server', '0:60 / /srv rw,noexec - nfs4 server:/x rw'),
      mount('over', `0:61 / /etc/sysconfig rw - overlay x rw,${layers}`),
    );
    assert.is((await findingOf('rivals-off', change)).status, status);
  });
}

hang('/dev/disk is not accessed if a file system there may hang', async () => {
  const change = (type: string) =>
    all(
      mount('links', `0:60 / /dev/disk/by-uuid rw,noexec - ${type} evil rw`),
      fstab('UUID=1 /boot xfs ro 0 0'),
    );
  const resolved: string[] = [];
  const as = (reader: SystemReader): SystemReader => ({
    ...reader,
    resolve: (name) => {
      if (name.startsWith('/dev/disk')) resolved.push(name);
      return reader.resolve(name);
    },
  });
  const { status, observed } = await findingOf('fstab-consistent', change('fuse'), { as });
  assert.equal([status, resolved], ['error', []]);
  assert.match(observed, 'fuse at /dev/disk/by-uuid may hang');
  await findingOf('fstab-consistent', change('tmpfs'), { as });
  assert.equal(resolved, ['/dev/disk/by-uuid/1']);
});

hang('a target that cannot be accessed is taken to exist', async () => {
  const as = (reader: SystemReader): SystemReader => ({
    ...reader,
    stat: (name) => {
      if (name === '/opt') throw new Error('no');
      return reader.stat(name);
    },
  });
  assert.is((await findingOf('boot-readonly', config('REQUIRE_READONLY=/opt\n'), { as })).status, 'pass');
  assert.is((await findingOf('boot-readonly', config('REQUIRE_READONLY=/opt\n'))).status, 'skip');
});
hang('a directory beside the mount, and a mount that covers it, are accessed', async () => {
  const beside = mount('server', '0:60 / /etc/sys rw - nfs4 server:/x rw');
  assert.is((await findingOf('rivals-off', beside)).status, 'pass');
  const covered = all(
    mount('server', '0:60 / /etc/sysconfig rw - nfs4 server:/x rw'),
    mount('over', '0:61 / /etc/sysconfig rw - tmpfs x rw'),
  );
  assert.is((await findingOf('rivals-off', covered)).status, 'pass');
});
hang.run();
