/** `prepare --image`: the plan of an image reads only the files of the image. */
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type PrepareOptions, prepareCommand } from '../../../agent/commands/prepare.ts';
import { readSnapshot } from '../../../agent/prepare/engine/snapshot.ts';
import { type Step, type StepId, stepIds } from '../../../agent/prepare/engine/step.ts';
import { imageReader } from '../../../agent/system/image.ts';
import type { SystemReader } from '../../../agent/system/reader.ts';
import { type Guest, withGuest } from '../../harness/guest.ts';
import { goodImage, ordinaryGuest } from '../../harness/ordinary-guest.ts';
import { planOf, planned } from '../../harness/planned.ts';
import { type Box, edited, tree, withBox } from '../../harness/prepare-box.ts';
import { SystemError } from '../../../agent/lib/errors.ts';
import { errorOf } from '../../harness/rejection.ts';

const images = suite('prepare --image');

/** Words that only the machine that builds the image has. */
const builder = /builder|vdb\b|rsyslogd|4711/;

/** An image in a chroot of a builder, whose kernel shows other mounts, disks and processes. */
function image(files: Guest['files'] = {}): Guest {
  const guest = ordinaryGuest();
  Object.assign(guest.files, {
    'proc/cmdline': 'root=/dev/mapper/builder-root overlayroot=tmpfs\n',
    'proc/swaps': 'Filename Type Size Used Priority\n/builder-swap file 1 0 -2\n',
    'proc/1/mountinfo': '7 1 0:1 / / rw - xfs /dev/builder rw\n',
    'sys/block/dm-0/dm/name': 'builder-root\n',
    'sys/firmware/efi/x': '',
    'etc/ssh/ssh_host_rsa_key': 'secret',
    'etc/ssh/ssh_host_rsa_key.pub': 'public',
    'etc/ssh/sshd_config': '',
    'var/lib/systemd/random-seed': 'seed',
    'etc/default/grub': 'GRUB_CMDLINE_LINUX="root=/dev/mapper/rhel-root ro resume=/dev/mapper/rhel-swap"\n',
    'etc/fstab':
      '/dev/mapper/rhel-root / xfs defaults 0 0\nUUID=1 /boot xfs defaults 0 2\n/dev/mapper/rhel-swap swap swap defaults 0 0\n',
    ...files,
  });
  guest.mounts['root'] = '253:0 / / rw - xfs /dev/mapper/builder-root rw';
  guest.answers.run = (program) =>
    program === '/usr/bin/find' ? { stdout: '', ended: 'good' } : { stdout: '', ended: 'bad' };
  return guest;
}

/** Fails on every access to what belongs to the builder. */
function strict(system: SystemReader): SystemReader {
  const names = ['read', 'readIfPresent', 'readAt', 'list', 'link', 'resolve', 'stat', 'usage'] as const;
  const watched = names.map((name) => [
    name,
    (file: string, ...more: unknown[]) => {
      if (/^\/(proc|sys|dev|run)(\/|$)/.test(file)) throw new Error(`${file} of the builder was read`);
      return (system[name] as (...given: unknown[]) => unknown)(file, ...more);
    },
  ]);
  return { ...system, ...(Object.fromEntries(watched) as object) };
}

const as = (reader: SystemReader) => imageReader(strict(reader));
const stepOf = (files: Guest['files'], id: StepId): Promise<Step> => planned(image(files), id, { as });

images('nothing of the builder is read or named, in any step', async () => {
  const plan = await planOf(image(), { as });
  assert.equal(plan.refused, null);
  assert.equal(
    plan.steps.map(({ id }) => id),
    // No image has a device for SCRATCH.
    stepIds.filter((id) => id !== 'scratch'),
  );
  assert.not.match(JSON.stringify(plan), builder);
  const states = Object.fromEntries(plan.steps.map(({ id, state }) => [id, state]));
  assert.equal(states, {
    ...{ home: 'needed', tmp: 'needed', mtab: 'needed', fstab: 'needed', etc: 'needed' },
    ...{ state: 'at first boot', var: 'at first boot', audit: 'done', writes: 'at first boot' },
    ...{ exec: 'at first boot', initramfs: 'needed', boot: 'needed', image: 'needed' },
  });
});

images('the twin: a guest with the same files is judged by the mounts and disks that the kernel shows', () =>
  withGuest(image(), (reader) => {
    assert.throws(() => readSnapshot(strict(reader)), /of the builder was read/);
    assert.match(JSON.stringify(readSnapshot(reader).mounts.all), builder);
    const { mounts, systemDisks } = readSnapshot(imageReader(strict(reader)));
    assert.equal(
      mounts.all.map(({ source, target }) => `${source} ${target}`),
      ['/dev/mapper/rhel-root /', 'UUID=1 /boot'],
    );
    assert.equal(
      systemDisks.disks.map(({ name, holds }) => ({ name, holds })),
      [{ name: 'image', holds: ['/', '/boot'] }],
    );
  }),
);

images(
  'a step that needs a running guest is examined at the first boot, without a list of such steps',
  async () => {
    const { state, why, atFirstBoot } = await stepOf({}, 'exec');
    assert.is(state, 'at first boot');
    assert.equal(atFirstBoot, ['running processes']);
    assert.match(
      why.join(' '),
      /^At the first boot, `immutafs-agent check --ready-to-seal` examines: running processes\.$/,
    );
    assert.equal((await stepOf({}, 'mtab')).atFirstBoot, undefined);
  },
);

/** Lines of fstab, and whether they are on the disk of the image: undefined if that is examined at the first boot. */
const lines: [string, boolean | undefined][] = [
  ['/dev/mapper/rhel-srv /srv xfs defaults 0 0', true],
  ['/dev/rhel/srv /srv xfs defaults 0 0', true],
  ['/dev/mapper/data-srv /srv xfs defaults 0 0', false],
  ['UUID=9 /srv xfs defaults 0 0', undefined],
  ['LABEL=srv /srv xfs defaults,nofail 0 0', false],
  ['UUID=9 /var/log xfs defaults 0 0', true],
  ['LABEL=pg /var/lib/pgsql xfs nofail 0 0', false],
  ['UUID=1 /srv xfs defaults 0 0', true],
  ['server:/x /srv nfs defaults 0 0', false],
  ['/dev/mapper/rhel-h /home xfs defaults 0 0', true],
  ['LABEL=home /home xfs defaults 0 0', false],
];
for (const [line, expected] of lines) {
  images(`on the disk of the image: ${line}: ${expected ?? 'unknown'}`, () => {
    const fstab = `/dev/mapper/rhel-root / xfs defaults 0 0\nUUID=1 /boot xfs defaults 0 0\n${line}\n`;
    return withGuest(image({ 'etc/fstab': fstab }), (system) => {
      const reader = imageReader(strict(system));
      const {
        fstab: { lines: found },
        systemDisks,
      } = readSnapshot(reader);
      reader.image?.takeNotes();
      const isOn = systemDisks.includes(found[2]?.disks ?? []);
      assert.is(isOn, expected === true);
      assert.is(reader.image?.takeNotes().length, expected === undefined ? 1 : 0);
    });
  });
}

/** An image in which a database was initialised. */
function imageWithDatabase(files: Guest['files'] = {}): Guest {
  const guest = image({ 'var/lib/pgsql/data/a': '', 'etc/passwd': 'root:x:0:0::/root:/bin/sh\n', ...files });
  guest.answers.run = (program, args) =>
    program === '/usr/bin/find' && args.includes('%T@ %s %U %p\\0')
      ? { stdout: args.includes('/var/lib/pgsql') ? '' : '1000 9 26 /var/lib/pgsql/data/a\0', ended: 'good' }
      : { stdout: '', ended: program === '/usr/bin/find' ? 'good' : 'bad' };
  return guest;
}

images('state of an image is kept by a line of the configuration, or accepted with --image', async () => {
  const files = { 'etc/immutafs/immutafs.conf': 'PERSIST=/var/lib/acme\n' };
  const { state, stateFindings, copyable, why } = await planned(imageWithDatabase(files), 'state', { as });
  assert.is(state, 'by hand');
  assert.match(why.join(' '), /PERSIST_STORE is empty/);
  const accept = 'immutafs-agent prepare --image --apply --only state --accept /var/lib/pgsql';
  assert.equal(
    stateFindings?.map(({ proposal, command }) => [proposal, command]),
    [['keep', accept]],
  );
  assert.equal(
    copyable?.map(({ line }) => line),
    ['PERSIST=/var/lib/acme /var/lib/pgsql'],
  );
});

images('an acceptance in an image is recorded as that of root, and decides', () =>
  withBox(imageWithDatabase(), async ({ prepare, root }) => {
    const options = { image: true, skip: [], only: ['state' as const] };
    assert.is((await prepare(options)).code, 1);
    const { code, stdout } = await prepare({
      ...options,
      apply: true,
      yes: true,
      accept: ['/var/lib/pgsql'],
    });
    assert.is(code, 0, stdout);
    const text = fs.readFileSync(path.join(root, 'etc/immutafs/accepted-writes'), 'utf8');
    assert.match(text, /^# 2026-03-04T05:06:07\.089Z, root:\n\/var\/lib\/pgsql\n$/m);
  }),
);

const kept = 'PERSIST=/var/lib/pgsql\nPERSIST_STORE=/data/immutafs\n';
const ofImage = '/dev/mapper/rhel-root / xfs defaults 0 0\nUUID=1 /boot xfs defaults 0 2\n';
for (const [line, expected] of [
  ['', /No boot would keep \/var\/lib\/pgsql: \/etc\/fstab mounts no file system/],
  ['/dev/mapper/rhel-data /data xfs nosuid,nodev 0 0\n', /is on the system disk/],
  ['LABEL=data /data xfs nodev,nofail 0 0\n', /lacks nosuid\. Add nosuid,noexec\./],
  ['LABEL=data /data xfs ro,nosuid,nodev,nofail 0 0\n', /has the option ro/],
  ['LABEL=data /data xfs nosuid,nodev,nofail 0 0\n', undefined],
] as const) {
  images(`PERSIST_STORE of an image with ${line.trim() || 'no line of fstab'}`, async () => {
    const files = { 'etc/immutafs/immutafs.conf': kept, 'etc/fstab': `${ofImage}${line}` };
    const { state, why } = await planned(imageWithDatabase(files), 'state', { as });
    if (expected === undefined) assert.is(state, 'at first boot', why.join(' '));
    else assert.is(state, 'by hand', why.join(' '));
    if (expected !== undefined) assert.match(why.join(' '), expected);
  });
}

images('an enabled service of an image that has written nothing yet', async () => {
  const files = {
    'etc/systemd/system/multi-user.target.wants/dhcpd.service': {
      linkTo: '/usr/lib/systemd/system/dhcpd.service',
    },
    'usr/lib/systemd/system/dhcpd.service': '[Service]\n',
    'var/lib/dhcpd/x': '',
  };
  const { state, stateFindings } = await planned(image(files), 'state', { as });
  assert.is(state, 'by hand');
  assert.equal(
    stateFindings?.map(({ name, files: count }) => [name, count]),
    [['ISC DHCP server', 0]],
  );
});

images('/home gets a line by label, with the required options and a bounded wait', async () => {
  const { actions } = await stepOf({}, 'home');
  const [edit] = actions;
  assert.match(
    edit?.do === 'edit' ? edit.after : '',
    /\nLABEL=home \/home xfs rw,noexec,nosuid,nodev,nofail,x-systemd\.device-timeout=90s 0 0\n$/,
  );
  const own = await stepOf({ 'etc/fstab': '/dev/vda1 / xfs ro 0 0\n/dev/vda2 /home xfs rw 0 0\n' }, 'home');
  assert.is(own.state, 'by hand');
  assert.match(own.why.join(), /on the disk of the image/);
  const data = await stepOf({ 'etc/fstab': '/dev/vda1 / xfs ro 0 0\nLABEL=h /home xfs rw 0 0\n' }, 'home');
  assert.is(data.state, 'needed');
});

images('an initramfs that has only the drivers of the builder is made again, for all machines', async () => {
  const file = 'boot/initramfs-3.10.0-1160.el7.x86_64.img';
  const good = await stepOf({ [file]: goodImage() }, 'initramfs');
  assert.is(good.state, 'done', good.why.join());
  const generic = {
    'usr/lib/dracut/hostonly-files': 'x',
    'usr/lib/dracut/build-parameter.txt': "'--no-hostonly' '--force'",
  };
  assert.is((await stepOf({ [file]: goodImage(generic) }, 'initramfs')).state, 'done');
  const { state, actions } = await stepOf(
    { [file]: goodImage({ 'usr/lib/dracut/hostonly-files': 'x' }) },
    'initramfs',
  );
  assert.is(state, 'needed');
  assert.equal(
    actions.map((action) => (action.do === 'run' ? action.args : action.do)),
    [
      [
        '--no-hostonly',
        '--force',
        '/boot/.initramfs-3.10.0-1160.el7.x86_64.img.immutafs',
        '3.10.0-1160.el7.x86_64',
      ],
      'rename',
    ],
  );
});

/** Fails if another program than dracut is started. */
const onlyDracut =
  (run: Box['writer']['run']): Box['writer']['run'] =>
  (program, ...more) => {
    if (program !== '/usr/bin/dracut') throw new Error(`${program} was started`);
    return run(program, ...more);
  };

images(
  'applied: the identity is removed without a copy, the image is named, and only the first boot remains',
  () =>
    withBox(image(), async ({ root, writer, prepare: prepareAny, readyImage }) => {
      const prepare = (options: Partial<PrepareOptions>) =>
        prepareAny({ image: true, skip: [], ...options }, { ...writer, run: onlyDracut(writer.run) });
      const text = (file: string) => fs.readFileSync(path.join(root, file), 'latin1');
      assert.is((await readyImage()).code, 1);
      const before = tree(root);
      const named = { imageName: 'rhel9-web', imageVersion: '2026.11' };
      const { code, stdout } = await prepare({ apply: true, yes: true, ...named });
      assert.is(code, 0, stdout);
      assert.not.match(stdout, builder);
      assert.is(text('etc/machine-id'), '');
      assert.equal(fs.readdirSync(path.join(root, 'etc/ssh')), ['sshd_config']);
      assert.is(fs.existsSync(path.join(root, 'var/lib/systemd/random-seed')), false);
      assert.is(text('etc/immutafs/image'), 'NAME=rhel9-web\nVERSION=2026.11\nBUILT=2026-03-04T05:06:07Z\n');
      for (const name of fs.readdirSync(path.join(root, 'var/lib/immutafs/backup')))
        assert.not.match(text(`var/lib/immutafs/backup/${name}`), /secret|seed/);
      assert.is(fs.existsSync(path.join(root, 'run/immutafs/prepare.lock')), false);
      const left = await readyImage();
      assert.is(left.code, 0);
      assert.match(left.stdout, /^Ready to seal\.\nAt the first boot, .*\n[^]* {2}exec: running processes\n/);
      assert.is((await prepare({ apply: true, yes: true, ...named })).code, 0);

      const undone = await prepare({ undo: true });
      assert.match(
        undone.stdout,
        /not undone: the removal of \/etc\/ssh\/ssh_host_rsa_key, \/etc\/ssh\/ssh_host_rsa_key\.pub, of which no copy was kept/,
      );
      const after = tree(root);
      const differing = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
        (file) => before[file] !== after[file],
      );
      assert.equal(differing.filter((file) => !edited.includes(file)).toSorted(), [
        'boot/initramfs-3.10.0-1160.el7.x86_64.img',
        'etc/ssh/ssh_host_rsa_key',
        'etc/ssh/ssh_host_rsa_key.pub',
        'var/lib/systemd/random-seed',
      ]);
    }),
);

const refused: Partial<PrepareOptions>[] = [
  { homeDevice: '/dev/vdb' },
  { homeUuid: '1' },
  { rehearse: true },
  { moveState: ['/var/lib'] },
  { strictMounts: true },
  { imageName: 'a' },
  { imageName: 'a', imageVersion: '1' },
  { imageName: 'a b', imageVersion: '1', apply: true, yes: true },
  { image: false, imageName: 'a', imageVersion: '1', apply: true },
  { image: false, only: ['image'] },
];
images('options that need a running guest are refused, and those of an image in a guest', () =>
  withBox(image(), async ({ prepare }) => {
    for (const options of refused) {
      const error = await errorOf(prepare({ image: true, skip: [], ...options }));
      assert.is(error.name, 'UsageError', JSON.stringify(options));
    }
  }),
);

images('a running guest is refused: its root directory is that of PID 1', () =>
  withGuest(ordinaryGuest(), async (reader) => {
    const stat = (file: string) => reader.stat(file === '/proc/1/root/.' ? '/' : file);
    const run = (system: SystemReader) =>
      prepareCommand(
        system,
        () => Promise.reject(new Error('a writer was loaded')),
        { stdout: () => undefined, stderr: () => undefined, terminal: false },
        { image: true, only: ['mtab'] },
        () => undefined,
      );
    const link = (file: string) => (file === '/proc/self/ns/pid' ? 'pid:[4026532000]' : reader.link(file));
    assert.is(await run(reader), 1, 'another root');
    assert.match((await errorOf(run({ ...reader, stat }))).message, /this is a running guest/);

    /** A container whose PID 1 runs a program. @param booted whether systemd has created its directory */
    const container = (program: string | undefined, booted: boolean): SystemReader => ({
      ...reader,
      stat: (file) => {
        if (file === '/run/systemd/system') return booted ? reader.stat('/') : undefined;
        return stat(file);
      },
      link: (file) => {
        if (file !== '/proc/1/exe') return link(file);
        if (program === undefined) throw new SystemError('hidden', 'EACCES');
        return program;
      },
    });
    for (const refusedContainer of [
      container('/usr/lib/systemd/systemd', true),
      container('/usr/lib/systemd/systemd (deleted)', true),
      container(undefined, true),
    ]) {
      const { name, message } = await errorOf(run(refusedContainer));
      assert.is(name, 'UsageError');
      assert.match(message, /systemd runs in this container/);
    }
    // The directory can be that of the host, or be left in the image.
    assert.is(await run(container('/usr/bin/bash', true)), 1);
    assert.is(await run(container(undefined, false)), 1);
    assert.is(
      await run({ ...container('/usr/lib/systemd/systemd', true), stat: reader.stat }),
      1,
      'a chroot in a container',
    );
  }),
);

images('a resolv.conf that the program that builds the image has put there is not judged', async () => {
  const written = '# Generated by dhcpcd from eth0.dhcp\nnameserver 192.0.2.1\n';
  const { state, why } = await stepOf({ 'etc/resolv.conf': written }, 'etc');
  assert.equal([state, why.filter((line) => line.includes('resolv.conf'))], ['at first boot', []]);
});

images.run();
