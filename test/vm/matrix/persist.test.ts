import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withDataDisk } from '../harness/data-disk.ts';
import { denialsStep, parseDenials } from '../harness/denials.ts';
import { label, threePaths, withPaths } from '../harness/persisted-paths.ts';
import { type Boot, checkOf, enforcing, look, notPassed, statusOf, withAgent } from '../harness/scenario.ts';

/** Boots without the data disk, and with a read-only one, are tested in `long/persist.test.ts`. */
const keep = suite('PERSIST');

keep('two of three paths are kept, and status names the third', () =>
  withDataDisk(async (drive) =>
    withAgent({ edit: threePaths }, async (guest) => {
      const enforced = (disk: 'readonly' | 'writable', steps: Record<string, string>) =>
        guest.boot({ disk, steps: { ...look, ...steps }, drives: [drive], arguments: enforcing });

      const first = await enforced('readonly', { ...observe, write: write('first'), plant });
      assertKept(first, 'sealed', 1);
      assert.is(first.step('content').stdout, 'disk\n');
      assert.is(first.step('exec').stdout, 'ran\n');
      assert.is(first.step('plant').exit, 0);
      assert.is(first.step('write').exit, 0, first.step('write').stderr);
      assert.is(first.step('enforce').stdout, 'Enforcing\n');

      const maintenance = await enforced('writable', {
        ...observe,
        write: write('maintenance'),
        fill: addTooLarge,
      });
      // The disk is writable: what root of the sealed boot wrote to a path with autostart does not run.
      assertKept(maintenance, 'maintenance', 1);
      assert.is(maintenance.step('content').stdout, 'first\n');
      assert.is(maintenance.step('write').exit, 0, maintenance.step('write').stderr);

      assert.is(maintenance.step('exec').stdout, 'ran\n');

      // The store is full for a fourth path, and the two directories in it are used as before.
      const second = await enforced('readonly', observe);
      assert.is(maintenance.step('fill').exit, 0, maintenance.step('fill').stderr);
      assertKept(second, 'sealed', 1, {
        '/var/lib/large': /^the copy needs \d+ KiB, and \/data has \d+ KiB free$/,
      });
      assert.is(second.step('content').stdout, 'maintenance\n');
      assert.is(second.step('exec').stdout, 'planted\n', 'the twin: it is kept, and runs in a sealed boot');
      assert.is(second.step('on-disk').stdout, 'disk\n', 'the sealed disk has its own content');
    }),
  ),
);

/** Replaces a program that starts by itself, as root in a sealed boot can. */
const plant = "printf '#!/bin/sh\\necho planted\\n' >/opt/agent/run && sync";

/** Adds a path that is larger than the free space of the store. */
const addTooLarge = `mkdir /var/lib/large && head -c 20000000 /dev/urandom >/var/lib/large/data &&
  fallocate -l $(($(stat -f -c "%a * %S" /data) - 10000000)) /data/filler &&
  sed -i "s,^PERSIST=.*,& /var/lib/large," /etc/immutafs/immutafs.conf && sync`;

/** Replaces the keytab as a service does, by renaming a new file. */
const write = (text: string) =>
  `cd /var/lib/keys && echo ${text} >new && chmod 600 new && mv new keytab && sync`;

const labels = (folder: string) => `(cd ${folder} && find . -printf "%p %Z %m %U:%G\\n" | sort)`;
const observe = {
  ...withPaths,
  'on-disk': 'cat /run/immutafs/lower/lib/keys/deep/link',
  exec: '/opt/agent/run',
  linked: 'cat /run/linked',
  labels: `${labels('/var/lib/keys')}; getfacl -pc /var/lib/keys/deep`,
  enforce: 'getenforce',
  denials: denialsStep,
  messages: 'journalctl -b | grep "immutafs: "',
  units:
    'systemctl show -p ActiveState,Result var-lib-keys.mount var-lib-link.mount immutafs-persist@var-lib-keys.service',
};

/** @param further the reasons why further paths are not kept */
function assertKept(
  boot: Boot,
  mode: 'sealed' | 'maintenance',
  exit: number,
  further: Record<string, RegExp> = {},
): void {
  const paths = Object.keys(further);
  const isSealed = mode === 'sealed';
  const status = statusOf(boot);
  const { report } = status;
  assert.equal(notPassed(report), ['persisted-paths'], boot.step('messages').stdout);
  assert.is(status.exit, exit);
  assert.equal(
    report.persisted.map(({ path, state, source }) => [path, state, source]),
    [
      ['/var/lib/keys', 'kept', '/data/store/var=lib=keys'],
      ['/opt/agent', isSealed ? 'kept' : 'inactive', '/data/store/opt=agent'],
      ['/var/lib/link', 'failed', '/data/store/var=lib=link'],
      ...paths.map((path) => [path, 'failed', `/data/store/${path.slice(1).replaceAll('/', '=')}`]),
    ],
  );
  for (const path of paths) {
    const { reason = '' } = report.persisted.find((each) => each.path === path) ?? {};
    assert.match(reason, further[path] ?? /$^/);
  }
  const { subject, observed, remedy } = checkOf(report, 'persisted-paths');
  assert.is(subject, ['/var/lib/link', ...paths].join(' '));
  assert.match(observed, '/var/lib/link is a symbolic link');
  assert.match(remedy, 'name the directory to which it points: /var/lib/keys');
  assert.equal(
    boot.step('failed').stdout.match(/^\S+/gm)?.toSorted(),
    ['/var/lib/link', ...paths]
      .map((path) => `immutafs-persist@${path.slice(1).replaceAll('/', '-')}.service`)
      .toSorted(),
  );
  assert.match(
    boot.step('mounts').stdout,
    /^(\/opt\/agent \S+\[\/store\/opt=agent\] rw,nosuid,nodev,relatime\S*\n)?\/var\/lib\/keys \S+\[\/store\/var=lib=keys\] rw,nosuid,nodev,noexec\S*\n$/,
  );
  assert.is(/^\/opt\/agent /m.test(boot.step('mounts').stdout), isSealed);
  assert.is(
    boot.step('seen').stdout,
    boot.step('content').stdout,
    'a unit that requires the path waits for it',
  );
  assert.is(boot.step('linked').exit, 0, 'a unit that requires the third path has started');
  const lines = boot.step('labels').stdout;
  assert.match(lines, `. ${label} 755 0:0\n./deep ${label} `);
  assert.match(lines, 'user:nobody:r--');
  assert.equal(
    parseDenials(boot.step('denials').stdout).filter((denial) => /unlabeled|var_lib_t/.test(denial)),
    [],
  );
  assert.is(boot.endedBy, 'poweroff');
}

keep.run();
