import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mountTable } from '../../../../../agent/facts/mounts/mountinfo.ts';
import {
  processDescriber,
  startTicks,
  unitOf,
} from '../../../../../agent/facts/security/programs/process-details.ts';
import { systemReader } from '../../../../../agent/system/reader.ts';
import { whileTemporaryDirectory, writeFiles } from '../../../../harness/temporary.ts';

const units = suite('unit of a process');
for (const [cgroup, unit] of [
  ['0::/system.slice/sshd.service\n', 'sshd.service'],
  ['0::/user.slice/user-1000.slice/session-3.scope\n', 'session-3.scope'],
  ['0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service\n', 'a.service'],
  ['0::/system.slice/podman.service/libpod/child\n', 'podman.service'],
  ['0::/\n', ''],
  ['', ''],
  // cgroup v1, as on RHEL 7; and both at once.
  [
    '11:cpu,cpuacct:/\n3:devices:/system.slice/b.service\n1:name=systemd:/system.slice/a.service\n',
    'a.service',
  ],
  ['1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n', 'a.service'],
  ['9:name=systemd:/\n0::/system.slice/a.service\n', 'a.service'],
  ['0::/system.slice/x:y.service\n', 'x:y.service'],
  ['0::/system.slice/\xff.service\n', '\\xff.service'],
] as const) {
  units(JSON.stringify(cgroup), () => assert.is(unitOf(cgroup), unit));
}
units.run();

const times = suite('start time');
const fields = '0 S 1 1 1 0 -1 4194560 1 1 0 0 0 0 0 0 20 0 1 0 4321 1 1 1';
times('a name with spaces and parentheses', () => {
  assert.is(startTicks(`7 (a) b) ${fields.slice(2)}`), 4321);
  assert.is(startTicks(''), undefined);
});
times.run();

const details = suite('details of a process');
const table = (options: string) =>
  mountTable(`1 0 253:0 / / ro - xfs /dev/vda ro\n2 1 0:3 / /proc rw - proc proc ${options}\n`);
const files = {
  'etc/passwd':
    'root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\ntwin:x:1000:1::/:/bin/sh\n',
  'proc/7/status': 'Name:\ta\nUid:\t0\t1000\t0\t0\n',
  'proc/7/stat': `7 (a) ${fields.slice(2)}\n`,
  'proc/7/cgroup': '0::/system.slice/a.service\n',
  'proc/7/cmdline': '/x\0--name=b\nc\0\x1b[31m\0',
  'proc/7/comm': 'x\n',
  'proc/8/cmdline': `/y\0${'z'.repeat(1000)}\0`,
  'proc/9/comm': 'no command line\n',
};
function describe(options: string, pid: number) {
  return whileTemporaryDirectory(async (root) => {
    writeFiles(root, files);
    const reader = {
      ...systemReader({ root }),
      environment: () => ({ hostname: '', kernel: '', uid: 0, seconds: 100 }),
      now: () => new Date('2026-03-04T05:06:07.000Z'),
    };
    return (await processDescriber(reader, table(options), [pid]))(pid);
  });
}
details('user, unit, command line and start time', async () => {
  assert.equal(await describe('rw', 7), {
    user: 'alice',
    unit: 'a.service',
    command: '/x --name=b\nc \x1b[31m',
    startedAt: '2026-03-04T05:05:10.210Z',
  });
});
details('a long command line is shortened; without one, the name', async () => {
  assert.is((await describe('rw', 8)).command.length, 257);
  assert.is((await describe('rw', 9)).command, '[no command line]');
});
for (const option of ['hidepid=2', 'hidepid=invisible', 'hidepid=1,gid=5']) {
  details(`${option} on /proc: no command line, because every user may read the report`, async () => {
    assert.is((await describe(`rw,${option}`, 7)).command, '[x]');
  });
}
details('hidepid=0 hides nothing', async () =>
  assert.is((await describe('rw,hidepid=0', 7)).command, '/x --name=b\nc \x1b[31m'),
);
details('a process that has exited', async () => {
  assert.equal(await describe('rw', 10), { user: '', unit: '', command: '', startedAt: null });
});
details.run();
