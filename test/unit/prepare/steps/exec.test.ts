import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Step } from '../../../../agent/prepare/engine/step.ts';
import { type Guest, mapsOf } from '../../../harness/guest.ts';
import { preparedGuest } from '../../../harness/ordinary-guest.ts';
import { planned, withSilent } from '../../../harness/planned.ts';
import { withBox } from '../../../harness/prepare-box.ts';
import { errorOf } from '../../../harness/rejection.ts';
import { tableOf } from '../../../harness/step-table.ts';

const exec = suite('step exec');

type Files = Guest['files'];
const conf = 'etc/immutafs/immutafs.conf';
/** The device of / and /var: 253:0. */
const disk = 'fd:00';

/** Returns the files of a process. */
const process_ = (pid: number, comm: string, maps: string, more: Record<string, string> = {}): Files => ({
  [`proc/${pid}/maps`]: maps,
  [`proc/${pid}/comm`]: `${comm}\n`,
  ...Object.fromEntries(Object.entries(more).map(([name, text]) => [`proc/${pid}/${name}`, text])),
});

interface Different {
  files?: Files;
  mounts?: Guest['mounts'];
  /** How the search for special files ends. */
  ended?: 'good' | 'deadline' | 'full';
}

function guestWith({ files = {}, mounts = {}, ended = 'good' }: Different): Guest {
  const guest = preparedGuest();
  Object.assign(guest.files, files);
  Object.assign(guest.mounts, mounts);
  guest.answers.run = (program, args) => {
    if (program !== '/usr/bin/find' || !args.includes('/6000')) return undefined;
    return { stdout: '', ended };
  };
  return guest;
}

/** Returns the conflicts: "OPTION TARGET FILE BY". */
const found = ({ exec: findings }: Step) =>
  findings?.conflicts.map(({ option, target, file, by }) => `${option} ${target} ${file} ${by}`.trim());

const vendor = process_(900, 'agentd', mapsOf(disk, '/var/lib/vendor/agentd'));
const runs = (file: string, device = disk): Different => ({
  files: process_(900, 'x', mapsOf(device, file)),
});
const withoutVar =
  '/dev:noexec,nosuid /run:noexec,nosuid,nodev /dev/shm:noexec,nosuid,nodev /run/user/*:noexec,nosuid,nodev /var:nosuid,nodev /var/tmp:noexec,nosuid,nodev /var/log:noexec,nosuid,nodev /tmp:noexec,nosuid,nodev /home:noexec,nosuid,nodev';
const strict = { files: { ...vendor, [conf]: 'MOUNT_OPTIONS=strict\n' } };
const finds =
  (...expected: string[]) =>
  (step: Step) =>
    assert.equal(found(step), expected);
const proposes = (expected: string | null) => (step: Step) => assert.is(step.exec?.proposal, expected);

tableOf(guestWith)('step exec: what runs', 'exec', {
  'done: a program from /var is named, and the proposal leaves noexec out there': [
    { files: vendor },
    ...[finds('noexec /var /var/lib/vendor/agentd agentd (900)'), proposes(withoutVar)],
  ],
  'by hand: the same with MOUNT_OPTIONS=strict': [
    strict,
    /sets MOUNT_OPTIONS=strict, which breaks: noexec on \/var: \/var\/lib\/vendor\/agentd \(agentd \(900\)\)\..*MOUNT_OPTIONS=\/dev:noexec/,
  ],
  'needed: the same with --strict-mounts, which writes the weaker line': [
    strict,
    { strictMounts: true },
    [`edit /etc/immutafs/immutafs.conf: MOUNT_OPTIONS=${withoutVar}`],
  ],
  'by hand: a program in /var/tmp, for which the default sets noexec, and /var would, too': [
    runs('/var/tmp/x'),
    ({ exec: { proposal } = { proposal: null } }) =>
      assert.match(proposal ?? '', /\/var:nosuid,nodev \/var\/tmp:nosuid,nodev \/var\/log:noexec/),
  ],
  'done: a program of a container with a path in /var': [runs('/var/lib/x', '00:63'), finds()],
  'done: a program on /usr': [runs('/usr/bin/x'), finds()],
  'done: a program below /run/initramfs, which runs at the end of the shutdown': [
    runs('/run/initramfs/shutdown', '00:12'),
    finds(),
  ],
  'done: a program on /run': [runs('/run/x', '00:12'), finds('noexec /run /run/x x (900)')],
  'done: a program on /dev': [runs('/dev/x', '00:05'), finds('noexec /dev /dev/x x (900)')],
  'done: a program on /tmp, which has noexec now': [runs('/tmp/x', '00:28'), finds()],
  'done: a search that times out proposes nothing': [
    { ended: 'deadline' },
    ...[/No stricter value is proposed.*not complete after 120 s/, proposes(null)],
  ],
  'done: a search with too many results proposes nothing': [
    { ended: 'full' },
    ...[/No stricter value is proposed.*found too many files \(more than 16 MiB of names\)/, proposes(null)],
  ],
  'done: a writable data disk is proposed; a read-only one, the system disk and containers are not': [
    {
      mounts: {
        data: '252:16 /srv /srv rw,relatime - xfs /dev/vdb rw',
        archive: '252:16 /a /archive ro,relatime - xfs /dev/vdb rw',
        container: '0:70 / /var/lib/containers/storage/overlay/x/merged rw - overlay overlay rw',
      },
    },
    proposes('strict /srv:noexec,nosuid,nodev'),
  ],
});

/** Titles, files, and the file that names /var/lib/x; undefined if none does. */
const naming: Record<string, [Files, string?]> = {
  'a unit, with a continuation line': [
    {
      'etc/systemd/system/a.service':
        '[Service]\nExecStartPre=-/bin/sh \\\n  /var/lib/x\nExecStart=@/var/lib/x y\n',
    },
    '/etc/systemd/system/a.service',
  ],
  'a drop-in of a packaged unit': [
    { 'usr/lib/systemd/system/a.service.d/b.conf': '[Service]\nExecStart=\nExecStart=/var/lib/x\n' },
    '/usr/lib/systemd/system/a.service.d/b.conf',
  ],
  'a cron table': [{ 'etc/cron.d/a': '5 * * * * root /var/lib/x\n' }, '/etc/cron.d/a'],
  'a cron table of a user': [
    { 'var/spool/cron/alice': '5 * * * * PATH=/bin;/var/lib/x\n' },
    '/var/spool/cron/alice',
  ],
  'a comment': [{ 'etc/cron.d/a': '#5 * * * * root /var/lib/x\n' }],
  'a condition of a unit': [{ 'etc/systemd/system/a.service': '[Unit]\nConditionPathExists=/var/lib/x\n' }],
  'a file that is not executable': [
    { 'etc/cron.d/a': '5 * * * * root /bin/sh /var/lib/plain\n', 'var/lib/plain': '' },
  ],
  nothing: [{}],
};
for (const [title, [files, by]] of Object.entries(naming)) {
  exec(`an executable is in use if it is named by: ${title}`, () =>
    withBox(guestWith({ files: { ...files, 'var/lib/x': 'x' } }), async ({ root, prepare }) => {
      fs.chmodSync(path.join(root, 'var/lib/x'), 0o755);
      const { stdout } = await prepare({ only: ['exec'], skip: [], json: true });
      const { steps } = JSON.parse(stdout) as { steps: [Step] };
      finds(...(by === undefined ? [] : [`noexec /var /var/lib/x ${by}`]))(steps[0]);
    }),
  );
}

for (const name of ['maps', 'cmdline'] as const) {
  exec(`nothing is proposed if the ${name} of a process cannot be read`, async () => {
    const files = process_(900, 'backup.sh', mapsOf(disk, '/bin/bash'), { cmdline: '/bin/bash\0./x\0' });
    const step = await planned(guestWith({ files }), 'exec', { as: withSilent(name) });
    assert.equal([step.state, step.exec?.proposal], ['done', null]);
    assert.match(
      step.why.join(' '),
      `No stricter value is proposed, because not everything could be examined: process 900: ${name} hangs`,
    );
  });
}

const open: Files = {
  'proc/sys/vm/memfd_noexec': '0\n',
  'proc/sys/user/max_user_namespaces': '1000\n',
  'proc/sys/kernel/yama/ptrace_scope': '0\n',
  'proc/sys/kernel/kexec_load_disabled': '0\n',
};
const sysctls = async (files: Files, closeBypasses = true) => {
  const settings = { closeBypasses };
  const step = await planned(guestWith({ files: { ...open, ...files } }), 'exec', { settings });
  const edit = step.actions.find((action) => action.do === 'edit' && action.file.includes('sysctl'));
  const lines = edit?.do === 'edit' ? edit.after.split('\n').filter((line) => /^[a-z]/.test(line)) : [];
  return { step, lines, after: edit?.do === 'edit' ? edit.after : '' };
};
const all = [
  'vm.memfd_noexec=2',
  'user.max_user_namespaces=0',
  'kernel.yama.ptrace_scope=1',
  'kernel.kexec_load_disabled=1',
];

exec('--close-bypasses writes what this kernel knows, and says what it can break', async () => {
  const { step, lines } = await sysctls({});
  assert.is(step.state, 'needed');
  assert.equal(lines, all);
  assert.match(step.why.join(' '), /user\.max_user_namespaces=0 can break: rootless Podman/);
});

const scopeLines = (...files: Parameters<typeof sysctls>) =>
  sysctls(...files).then(({ lines }) => lines.filter((line) => line.includes('ptrace')));

exec('a stricter value of kernel.yama.ptrace_scope stays, now and in the file', async () => {
  assert.equal(await scopeLines({}), ['kernel.yama.ptrace_scope=1']);
  for (const value of ['1', '2', '3'])
    assert.equal(await scopeLines({ 'proc/sys/kernel/yama/ptrace_scope': `${value}\n` }), []);
  const written = { 'etc/sysctl.d/60-immutafs.conf': 'kernel.yama.ptrace_scope = 2\n' };
  assert.equal(await scopeLines(written), ['kernel.yama.ptrace_scope = 2']);
  const { after } = await sysctls(written);
  assert.not.match(after, /ptrace_scope=1/);
});

exec('without --close-bypasses, the open bypasses are named and nothing is written', async () => {
  const { step, lines } = await sysctls({}, false);
  assert.equal([step.state, lines], ['done', []]);
  assert.match(step.why.join(' '), /memfd, user-namespaces, ptrace, kexec.*--close-bypasses/);
});

exec('a kernel without vm.memfd_noexec, and settings that are closed already', async () => {
  const guest = { 'proc/sys/kernel/yama/ptrace_scope': '3\n', 'proc/sys/kernel/kexec_load_disabled': '1\n' };
  assert.equal((await sysctls(guest)).lines, ['vm.memfd_noexec=2', 'user.max_user_namespaces=0']);
});

const inUse: Record<string, [Files, number, RegExp]> = {
  'a memfd': [
    process_(900, 'runc', mapsOf('00:01', '/memfd:runc (deleted)')),
    ...([0, /a memfd is executed by runc \(900\)/] as const),
  ],
  'a user namespace': [
    {
      ...process_(900, 'podman', mapsOf(disk, '/usr/bin/podman')),
      'proc/900/ns/user': { linkTo: 'user:[5]' },
    },
    ...([1, /a user namespace is used by podman \(900\)/] as const),
  ],
  ptrace: [
    process_(900, 'app', mapsOf(disk, '/usr/bin/app'), { status: 'TracerPid:\t7\n' }),
    ...([2, /ptrace is used on app \(900\)/] as const),
  ],
  kdump: [
    { 'etc/systemd/system/multi-user.target.wants/kdump.service': { linkTo: '/x' } },
    ...([3, /kdump is enabled/] as const),
  ],
};
for (const [title, [files, missing, why]] of Object.entries(inUse)) {
  exec(`what is in use now is not closed: ${title}`, async () => {
    const { step, lines } = await sysctls(files);
    assert.equal(lines, all.toSpliced(missing, 1));
    assert.match(step.why.join(' '), why);
  });
}

exec('--apply writes both files, the step is then done, and --undo restores them', () =>
  withBox(
    guestWith({ files: { ...open, 'etc/sysctl.d/60-immutafs.conf': 'kernel.panic=5' } }),
    async ({ root, prepare }) => {
      const read = (file: string) => fs.readFileSync(path.join(root, file), 'utf8');
      const options = { only: ['exec' as const], skip: [], strictMounts: true, closeBypasses: true };
      const { code, stdout } = await prepare({ ...options, apply: true, yes: true });
      assert.is(code, 0, stdout);
      assert.is(read(conf), 'MOUNT_OPTIONS=strict\n');
      assert.match(
        read('etc/sysctl.d/60-immutafs.conf'),
        /^kernel\.panic=5\n# Can break: .*\nvm\.memfd_noexec=2\n/,
      );
      assert.is((await prepare({ ...options })).code, 0);
      assert.is((await prepare({ undo: true, skip: [] })).code, 0);
      assert.is(read('etc/sysctl.d/60-immutafs.conf'), 'kernel.panic=5');
      assert.is(read(conf), '');
    },
  ),
);

exec('the options need the step', () =>
  withBox(guestWith({}), async ({ prepare }) => {
    for (const option of ['strictMounts', 'closeBypasses']) {
      const error = await errorOf(prepare({ only: ['tmp'], skip: [], [option]: true }));
      assert.match(String(error), /needs the step exec/);
    }
  }),
);

exec.run();
