import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Settings, Step } from '../../../../agent/prepare/engine/step.ts';
import { type Guest, mapsOf } from '../../../harness/guest.ts';
import { preparedGuest } from '../../../harness/ordinary-guest.ts';
import { planned, withSilent } from '../../../harness/planned.ts';
import { withBox } from '../../../harness/prepare-box.ts';
import { errorOf } from '../../../harness/rejection.ts';

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

const stepOf = (different: Different, settings: Partial<Settings> = {}): Promise<Step> =>
  planned(guestWith(different), 'exec', { settings });

/** Returns the conflicts: "OPTION TARGET FILE BY". */
const found = ({ exec: findings }: Step) =>
  findings?.conflicts.map(({ option, target, file, by }) => `${option} ${target} ${file} ${by}`.trim());

const vendor = process_(900, 'agentd', mapsOf(disk, '/var/lib/vendor/agentd'));
const withoutVar =
  '/dev:noexec,nosuid /run:noexec,nosuid,nodev /dev/shm:noexec,nosuid,nodev /run/user/*:noexec,nosuid,nodev /var:nosuid,nodev /var/tmp:noexec,nosuid,nodev /var/log:noexec,nosuid,nodev /tmp:noexec,nosuid,nodev /home:noexec,nosuid,nodev';

exec('a program that runs from /var is named, and the proposal leaves noexec out there', async () => {
  const step = await stepOf({ files: vendor });
  assert.is(step.state, 'done');
  assert.equal(found(step), ['noexec /var /var/lib/vendor/agentd agentd (900)']);
  assert.is(step.exec?.proposal, withoutVar);
});

exec(
  'the same with MOUNT_OPTIONS=strict needs a decision; --strict-mounts writes the weaker line',
  async () => {
    const files = { ...vendor, [conf]: 'MOUNT_OPTIONS=strict\n' };
    const step = await stepOf({ files });
    assert.is(step.state, 'by hand');
    assert.match(
      step.why.join(' '),
      /sets MOUNT_OPTIONS=strict, which breaks: noexec on \/var: \/var\/lib\/vendor\/agentd \(agentd \(900\)\)\..*MOUNT_OPTIONS=\/dev:noexec/,
    );
    const written = await stepOf({ files }, { strictMounts: true });
    assert.is(written.state, 'needed');
    const [action] = written.actions;
    assert.is(action?.do === 'edit' ? action.after : '', `MOUNT_OPTIONS=${withoutVar}\n`);
  },
);

exec(
  'a program in a directory of /var also conflicts with noexec on /var, from which it would inherit it',
  async () => {
    const step = await stepOf({ files: process_(900, 'x', mapsOf(disk, '/var/tmp/x')) });
    assert.is(step.state, 'by hand', 'the default sets noexec on /var/tmp');
    assert.match(step.exec?.proposal ?? '', /\/var:nosuid,nodev \/var\/tmp:nosuid,nodev \/var\/log:noexec/);
  },
);

for (const [title, files, expected] of [
  ['a program of a container with a path in /var', process_(900, 'x', mapsOf('00:63', '/var/lib/x')), []],
  ['a program on /usr', process_(900, 'x', mapsOf(disk, '/usr/bin/x')), []],
  [
    'a program below /run/initramfs, which runs at the end of the shutdown',
    process_(900, 'x', mapsOf('00:12', '/run/initramfs/shutdown')),
    [],
  ],
  ['a program on /run', process_(900, 'x', mapsOf('00:12', '/run/x')), ['noexec /run /run/x x (900)']],
  ['a program on /dev', process_(900, 'x', mapsOf('00:05', '/dev/x')), ['noexec /dev /dev/x x (900)']],
  ['a program on /tmp, which has noexec now', process_(900, 'x', mapsOf('00:28', '/tmp/x')), []],
] as const) {
  exec(`what runs: ${title}`, async () => assert.equal(found(await stepOf({ files })), [...expected]));
}

/** Creates executable files in a guest, and plans the step. */
function withExecutables(files: Files, executables: readonly string[]): Promise<string[] | undefined> {
  const guest = guestWith({
    files: { ...files, ...Object.fromEntries(executables.map((file) => [file.slice(1), 'x'])) },
  });
  let answer: string[] | undefined;
  return withBox(guest, async ({ root, prepare }) => {
    for (const file of executables) fs.chmodSync(path.join(root, file), 0o755);
    const { stdout } = await prepare({ only: ['exec'], skip: [], json: true });
    const { steps } = JSON.parse(stdout) as { steps: Step[] };
    assert.ok(steps[0]);
    answer = found(steps[0]);
  }).then(() => answer);
}

for (const [title, files, expected] of [
  [
    'a unit, with a continuation line',
    {
      'etc/systemd/system/a.service':
        '[Service]\nExecStartPre=-/bin/sh \\\n  /var/lib/x\nExecStart=@/var/lib/x y\n',
    },
    ['noexec /var /var/lib/x /etc/systemd/system/a.service'],
  ],
  [
    'a drop-in of a packaged unit',
    { 'usr/lib/systemd/system/a.service.d/b.conf': '[Service]\nExecStart=\nExecStart=/var/lib/x\n' },
    ['noexec /var /var/lib/x /usr/lib/systemd/system/a.service.d/b.conf'],
  ],
  [
    'a cron table',
    { 'etc/cron.d/a': '5 * * * * root /var/lib/x\n' },
    ['noexec /var /var/lib/x /etc/cron.d/a'],
  ],
  [
    'a cron table of a user',
    { 'var/spool/cron/alice': '5 * * * * PATH=/bin;/var/lib/x\n' },
    ['noexec /var /var/lib/x /var/spool/cron/alice'],
  ],
  ['a comment', { 'etc/cron.d/a': '#5 * * * * root /var/lib/x\n' }, []],
  [
    'a condition of a unit',
    { 'etc/systemd/system/a.service': '[Unit]\nConditionPathExists=/var/lib/x\n' },
    [],
  ],
  [
    'a file that is not executable',
    { 'etc/cron.d/a': '5 * * * * root /bin/sh /var/lib/plain\n', 'var/lib/plain': '' },
    [],
  ],
  ['nothing', {}, []],
] as const) {
  exec(`an executable is in use if it is named by: ${title}`, async () =>
    assert.equal(await withExecutables(files, ['/var/lib/x']), [...expected]),
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

for (const [ended, reason] of [
  ['deadline', /No stricter value is proposed.*not complete after 120 s/],
  ['full', /No stricter value is proposed.*found too many files \(more than 16 MiB of names\)/],
] as const) {
  exec(`an incomplete search proposes nothing: ${ended}`, async () => {
    const step = await stepOf({ ended });
    assert.equal([step.state, step.exec?.proposal], ['done', null]);
    assert.match(step.why.join(' '), reason);
  });
}

exec(
  'a writable data disk is proposed, too; a read-only one, the system disk and containers are not',
  async () => {
    const mounts = {
      data: '252:16 /srv /srv rw,relatime - xfs /dev/vdb rw',
      archive: '252:16 /a /archive ro,relatime - xfs /dev/vdb rw',
      container: '0:70 / /var/lib/containers/storage/overlay/x/merged rw - overlay overlay rw',
    };
    const step = await stepOf({ mounts });
    assert.is(step.exec?.proposal, 'strict /srv:noexec,nosuid,nodev');
  },
);

const open: Files = {
  'proc/sys/vm/memfd_noexec': '0\n',
  'proc/sys/user/max_user_namespaces': '1000\n',
  'proc/sys/kernel/yama/ptrace_scope': '0\n',
  'proc/sys/kernel/kexec_load_disabled': '0\n',
};
const sysctls = async (files: Files, closeBypasses = true, strictPtrace = false) => {
  const step = await stepOf({ files: { ...open, ...files } }, { closeBypasses, strictPtrace });
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

exec('--strict-ptrace writes 2, also if 1 is set now or in the file', async () => {
  const [yama, file] = ['proc/sys/kernel/yama/ptrace_scope', 'etc/sysctl.d/60-immutafs.conf'];
  assert.equal(await scopeLines({}, true, true), ['kernel.yama.ptrace_scope=2']);
  assert.equal(await scopeLines({ [yama]: '1\n' }, true, true), ['kernel.yama.ptrace_scope=2']);
  assert.equal(await scopeLines({ [yama]: '1\n' }), []);
  const { after } = await sysctls({ [file]: 'kernel.yama.ptrace_scope=1\n' }, true, true);
  assert.match(after, /ptrace_scope=1\n[^]*ptrace_scope=2\n/);
});

exec('without --strict-ptrace, a stricter value in the file stays', async () => {
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

for (const [title, files, missing, why] of [
  [
    'a memfd',
    process_(900, 'runc', mapsOf('00:01', '/memfd:runc (deleted)')),
    0,
    /a memfd is executed by runc \(900\)/,
  ],
  [
    'a user namespace',
    {
      ...process_(900, 'podman', mapsOf(disk, '/usr/bin/podman')),
      'proc/900/ns/user': { linkTo: 'user:[5]' },
    },
    1,
    /a user namespace is used by podman \(900\)/,
  ],
  [
    'ptrace',
    process_(900, 'app', mapsOf(disk, '/usr/bin/app'), { status: 'TracerPid:\t7\n' }),
    2,
    /ptrace is used on app \(900\)/,
  ],
  [
    'kdump',
    { 'etc/systemd/system/multi-user.target.wants/kdump.service': { linkTo: '/x' } },
    3,
    /kdump is enabled/,
  ],
] as const) {
  exec(`what is in use now is not closed: ${title}`, async () => {
    const { step, lines } = await sysctls(files);
    assert.equal(
      lines,
      all.filter((_, index) => index !== missing),
    );
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
    const error = await errorOf(prepare({ skip: [], strictPtrace: true }));
    assert.match(String(error), /--strict-ptrace needs --close-bypasses/);
  }),
);

exec.run();
