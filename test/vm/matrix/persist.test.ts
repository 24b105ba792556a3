import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { persistOnDataDisk, withDataDisk } from '../harness/data-disk.ts';
import { denialsStep, parseDenials } from '../harness/denials.ts';
import { type Boot, checkOf, enforcing, look, notPassed, statusOf, withAgent } from '../harness/scenario.ts';

const label = 'system_u:object_r:var_lib_t:s0';

const keep = suite('PERSIST');

keep('two of three paths are kept, and status names the third', () =>
  withDataDisk(async (drive) =>
    withAgent({ edit: threePaths }, async (guest) => {
      const boot = (disk: 'readonly' | 'writable', steps: Record<string, string>, drives = [drive]) =>
        guest.boot({ disk, steps: { ...look, ...steps }, drives });
      const enforced = (disk: 'readonly' | 'writable', steps: Record<string, string>) =>
        guest.boot({ disk, steps: { ...look, ...steps }, drives: [drive], arguments: enforcing });

      const first = await enforced('readonly', { ...observe, write: write('first') });
      assertKeptTwo(first, 1);
      assert.is(first.step('content').stdout, 'disk\n');
      assert.is(first.step('write').exit, 0, first.step('write').stderr);
      assert.is(first.step('enforce').stdout, 'Enforcing\n');

      const maintenance = await enforced('writable', {
        ...observe,
        write: write('maintenance'),
        fill: addTooLarge,
      });
      assertKeptTwo(maintenance, 1);
      assert.is(maintenance.step('content').stdout, 'first\n');
      assert.is(maintenance.step('write').exit, 0, maintenance.step('write').stderr);

      // The store is full for a fourth path, and the two directories in it are used as before.
      const second = await enforced('readonly', observe);
      assert.is(maintenance.step('fill').exit, 0, maintenance.step('fill').stderr);
      assertKeptTwo(second, 1, { '/var/lib/large': /^the copy needs \d+ KiB, and \/data has \d+ KiB free$/ });
      assert.is(second.step('content').stdout, 'maintenance\n');
      assert.is(second.step('on-disk').stdout, 'disk\n', 'the sealed disk has its own content');

      const absent = await boot('readonly', observe, []);
      assertNotKept(absent, 'the file system of PERSIST_STORE at /data is not mounted');
      const readOnly = await boot('readonly', observe, [{ ...drive, readOnly: true }]);
      assertNotKept(readOnly, 'the disk vdd of /data is read-only');
      for (const other of [absent, readOnly]) {
        assert.is(other.step('content').stdout, 'disk\n');
        assert.is(other.step('mounts').stdout, '');
        assert.is(other.step('seen').stdout, 'disk\n', 'a unit that requires the path has started');
      }
    }),
  ),
);

/** Two directories and a symbolic link, and units that require the first and the last of them early in the boot. */
async function threePaths(root: string): Promise<void> {
  await persistOnDataDisk(root, '/var/lib/keys /opt/agent:exec /var/lib/link');
  const keys = join(root, 'var/lib/keys');
  await mkdir(join(keys, 'deep'), { recursive: true });
  await writeFile(join(keys, 'keytab'), 'disk\n', { mode: 0o600 });
  await execa('ln', [join(keys, 'keytab'), join(keys, 'deep/link')]);
  await execa('setfacl', ['-m', 'u:nobody:r', join(keys, 'deep')]);
  await mkdir(join(root, 'opt/agent'));
  await writeFile(join(root, 'opt/agent/run'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
  await symlink('keys', join(root, 'var/lib/link'));
  for (const [name, target] of [
    ['seen', '/var/lib/keys'],
    ['linked', '/var/lib/link'],
  ]) {
    const unit = join(root, `etc/systemd/system/${name}.service`);
    await writeFile(
      unit,
      `[Unit]\nDefaultDependencies=no\nRequiresMountsFor=${target}\n[Service]\nType=oneshot\nExecStart=/bin/cp ${target}/keytab /run/${name}\n`,
    );
    await mkdir(join(root, 'etc/systemd/system/sysinit.target.wants'), { recursive: true });
    await symlink(
      `../${name}.service`,
      join(root, `etc/systemd/system/sysinit.target.wants/${name}.service`),
    );
    await labelled(unit, 'system_u:object_r:systemd_unit_t:s0');
  }
  for (const each of [keys, join(root, 'opt/agent')]) await labelled(each, label, '-R');
}

/** Sets SELinux labels on this machine, whose kernel has no SELinux. */
async function labelled(file: string, context: string, ...options: string[]): Promise<void> {
  if (options.length > 0) {
    const { stdout } = await execa('find', [file, '!', '-type', 'l']);
    for (const each of stdout.split('\n')) await labelled(each, context);
    return;
  }
  await execa('setfattr', ['-n', 'security.selinux', '-v', context, file]);
}

/** Adds a path that is larger than the free space of the store. */
const addTooLarge = `mkdir /var/lib/large && head -c 20000000 /dev/urandom >/var/lib/large/data &&
  fallocate -l $(($(stat -f -c "%a * %S" /data) - 10000000)) /data/filler &&
  sed -i "s,^PERSIST=.*,& /var/lib/large," /etc/immutafs/immutafs.conf && sync`;

/** Replaces the keytab as a service does, by renaming a new file. */
const write = (text: string) =>
  `cd /var/lib/keys && echo ${text} >new && chmod 600 new && mv new keytab && sync`;

const labels = (folder: string) => `(cd ${folder} && find . -printf "%p %Z %m %U:%G\\n" | sort)`;
const observe = {
  content: 'cat /var/lib/keys/keytab',
  'on-disk': 'cat /run/immutafs/lower/lib/keys/deep/link',
  exec: '/opt/agent/run',
  mounts: 'findmnt -rn -o TARGET,SOURCE,OPTIONS | grep -E "^/(var/lib/keys|opt/agent|var/lib/link) " | sort',
  seen: 'cat /run/seen',
  linked: 'cat /run/linked',
  labels: `${labels('/var/lib/keys')}; getfacl -pc /var/lib/keys/deep`,
  enforce: 'getenforce',
  'write-var': 'touch /var/lib/other',
  denials: denialsStep,
  messages: 'journalctl -b | grep "immutafs: "',
  units:
    'systemctl show -p ActiveState,Result var-lib-keys.mount var-lib-link.mount immutafs-persist@var-lib-keys.service',
};

/** @param further the reasons why further paths are not kept */
function assertKeptTwo(boot: Boot, exit: number, further: Record<string, RegExp> = {}): void {
  const paths = Object.keys(further);
  const status = statusOf(boot);
  const { report } = status;
  assert.equal(notPassed(report), ['persisted-paths'], boot.step('messages').stdout);
  assert.is(status.exit, exit);
  assert.equal(
    report.persisted.map(({ path, state, source }) => [path, state, source]),
    [
      ['/var/lib/keys', 'kept', '/data/store/var=lib=keys'],
      ['/opt/agent', 'kept', '/data/store/opt=agent'],
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
    /^\/opt\/agent \S+\[\/store\/opt=agent\] rw,nosuid,nodev,relatime\S*\n\/var\/lib\/keys \S+\[\/store\/var=lib=keys\] rw,nosuid,nodev,noexec\S*\n$/,
  );
  assert.is(boot.step('exec').stdout, 'ran\n');
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

function assertNotKept(boot: Boot, reason: string): void {
  const { report } = statusOf(boot);
  const { status, subject, observed, remedy } = checkOf(report, 'persisted-paths');
  assert.is(status, 'fail');
  assert.is(subject, '/var/lib/keys /opt/agent /var/lib/link /var/lib/large');
  assert.match(observed, `/var/lib/keys: ${reason}`);
  assert.match(remedy, '/opt/agent: ');
  assert.is(boot.endedBy, 'poweroff');
  assert.is(boot.step('write-var').exit, 0);
}

keep.run();
