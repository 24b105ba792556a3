/** `prepare --image`: the plan of an image reads only the files of the image. */
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { prepareCommand, readyCommand, type PrepareOptions } from '../../../agent/commands/prepare.ts';
import type { Plan } from '../../../agent/prepare/engine/plan.ts';
import { readSnapshot } from '../../../agent/prepare/engine/snapshot.ts';
import { type Step, type StepId, noSettings, stepIds } from '../../../agent/prepare/engine/step.ts';
import { planGuest } from '../../../agent/prepare/prepare.ts';
import { imageReader } from '../../../agent/system/image.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import type { SystemReader } from '../../../agent/system/reader.ts';
import { type Guest, withGuest } from '../../harness/guest.ts';
import { goodImage, ordinaryGuest } from '../../harness/ordinary-guest.ts';
import { type Box, edited, tree } from '../../harness/prepare-box.ts';

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
  const check = (file: string) => {
    if (/^\/(proc|sys|dev|run)(\/|$)/.test(file)) throw new Error(`${file} of the builder was read`);
  };
  const watch =
    <Arguments extends [string, ...unknown[]], T>(method: (...args: Arguments) => T) =>
    (...args: Arguments): T => {
      check(args[0]);
      return method(...args);
    };
  return {
    ...system,
    read: watch(system.read),
    readIfPresent: watch(system.readIfPresent),
    readAt: watch(system.readAt),
    list: watch(system.list),
    link: watch(system.link),
    resolve: watch(system.resolve),
    stat: watch(system.stat),
    usage: watch(system.usage),
  };
}

function planImageOf(guest: Guest, steps: readonly StepId[] = stepIds): Promise<Plan> {
  return withGuest(guest, (reader) => planGuest(imageReader(strict(reader)), noSettings, new Set(steps)));
}

async function stepOf(guest: Guest, id: StepId): Promise<Step> {
  const { steps } = await planImageOf(guest, [id]);
  const [step] = steps;
  if (step === undefined) throw new Error(`no step ${id}`);
  return step;
}

images('nothing of the builder is read or named, in any step', async () => {
  const plan = await planImageOf(image());
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
    const { state, why, atFirstBoot } = await stepOf(image(), 'exec');
    assert.is(state, 'at first boot');
    assert.equal(atFirstBoot, ['running processes']);
    assert.match(
      why.join(' '),
      /^At the first boot, `immutafs-agent check --ready-to-seal` examines: running processes\.$/,
    );
    assert.equal((await stepOf(image(), 'mtab')).atFirstBoot, undefined);
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

images('/home gets a line by label, with the required options and a bounded wait', async () => {
  const { actions } = await stepOf(image(), 'home');
  const [edit] = actions;
  assert.match(
    edit?.do === 'edit' ? edit.after : '',
    /\nLABEL=home \/home xfs rw,noexec,nosuid,nodev,nofail,x-systemd\.device-timeout=10s 0 0\n$/,
  );
  const own = await stepOf(
    image({ 'etc/fstab': '/dev/vda1 / xfs ro 0 0\n/dev/vda2 /home xfs rw 0 0\n' }),
    'home',
  );
  assert.is(own.state, 'by hand');
  assert.match(own.why.join(), /on the disk of the image/);
  const data = await stepOf(
    image({ 'etc/fstab': '/dev/vda1 / xfs ro 0 0\nLABEL=h /home xfs rw 0 0\n' }),
    'home',
  );
  assert.is(data.state, 'needed');
});

images('an initramfs that has only the drivers of the builder is made again, for all machines', async () => {
  const file = 'boot/initramfs-3.10.0-1160.el7.x86_64.img';
  const good = await stepOf(image({ [file]: goodImage() }), 'initramfs');
  assert.is(good.state, 'done', good.why.join());
  const generic = {
    'usr/lib/dracut/hostonly-files': 'x',
    'usr/lib/dracut/build-parameter.txt': "'--no-hostonly' '--force'",
  };
  assert.is((await stepOf(image({ [file]: goodImage(generic) }), 'initramfs')).state, 'done');
  const { state, actions } = await stepOf(
    image({ [file]: goodImage({ 'usr/lib/dracut/hostonly-files': 'x' }) }),
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

interface Said {
  code: number;
  stdout: string;
}

function withImage(
  guest: Guest,
  work: (
    prepare: (options: Partial<PrepareOptions>) => Promise<Said>,
    root: string,
    ready: () => Promise<Said>,
  ) => Promise<void>,
): Promise<void> {
  return withGuest(guest, (reader, root) => {
    const run: Box['writer']['run'] = (program, args) => {
      if (program !== '/usr/bin/dracut') throw new Error(`${program} was started`);
      fs.writeFileSync(path.join(root, args[2] ?? ''), goodImage(), 'latin1');
      return Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false });
    };
    const writer = { ...systemWriter(root), run };
    const collect = async (
      work: (output: {
        stdout: (text: string) => void;
        stderr: () => void;
        terminal: boolean;
      }) => Promise<number>,
    ): Promise<Said> => {
      let stdout = '';
      const code = await work({
        stdout: (text) => void (stdout += text),
        stderr: () => undefined,
        terminal: false,
      });
      return { code, stdout };
    };
    return work(
      (options) =>
        collect((output) =>
          prepareCommand(
            reader,
            () => Promise.resolve(writer),
            output,
            { image: true, ...options },
            () => undefined,
          ),
        ),
      root,
      () => collect((output) => readyCommand(reader, output, true)),
    );
  });
}

images(
  'applied: the identity is removed without a copy, the image is named, and only the first boot remains',
  () =>
    withImage(image(), async (prepare, root, ready) => {
      const text = (file: string) => fs.readFileSync(path.join(root, file), 'latin1');
      assert.is((await ready()).code, 1);
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
      const left = await ready();
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

images('options that need a running guest are refused, and so is a running guest', async () => {
  await withImage(image(), async (prepare) => {
    const refusals: Partial<PrepareOptions>[] = [
      { homeDevice: '/dev/vdb' },
      { homeUuid: '1' },
      { rehearse: true },
      { moveState: ['/var/lib/x'] },
      { strictMounts: true },
      { imageName: 'a' },
      { imageName: 'a', imageVersion: '1' },
      { imageName: 'a b', imageVersion: '1', apply: true, yes: true },
      { image: false, imageName: 'a', imageVersion: '1', apply: true },
      { image: false, only: ['image'] },
    ];
    for (const options of refusals) {
      try {
        await prepare(options);
        assert.unreachable(JSON.stringify(options));
      } catch (error) {
        assert.is((error as Error).name, 'UsageError', JSON.stringify(options));
      }
    }
  });
});

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
    assert.is(await run({ ...reader, stat, link }), 1, 'a container');
    try {
      await run({ ...reader, stat });
      assert.unreachable();
    } catch (error) {
      assert.match((error as Error).message, /this is a running guest/);
    }
  }),
);

images('a resolv.conf that the program that builds the image has put there is not judged', async () => {
  const written = '# Generated by dhcpcd from eth0.dhcp\nnameserver 192.0.2.1\n';
  const { state, why } = await stepOf(image({ 'etc/resolv.conf': written }), 'etc');
  assert.equal([state, why.filter((line) => line.includes('resolv.conf'))], ['at first boot', []]);
});

images.run();
