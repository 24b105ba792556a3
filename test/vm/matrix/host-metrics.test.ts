import { spawnSync } from 'node:child_process';
import { mkdir, readFile, readdir, realpath, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { runIn } from '../../harness/command-line.ts';
import { goodGuest } from '../../harness/guest.ts';
import { repository } from '../harness/cache.ts';
import { type AgentDomain, startAgentDomain } from '../libvirt/agent-domain.ts';
import { overridingEmulator } from '../libvirt/fixture.ts';
import { type Hypervisor, defineXml, redefine, setReadOnly } from '../libvirt/hypervisor.ts';
import { type Stub, stubSuite } from '../libvirt/stub-suite.ts';

/**
 * Tests immutafs-host-metrics, as monitoring/host/install installs it, with real libvirt, QEMU and a real guest agent.
 * Through that agent, the test replaces the report as root in a guest can.
 */
const metrics = stubSuite('the metrics of a host', { isSealed: true });

interface Written {
  text: string;
  stderr: string;
  seconds: number;
  /** Returns the value of a sample; undefined if there is none. */
  value: (name: string, labels: string) => string | undefined;
}

/** Installs the program below a folder. @returns a function that runs it and reads its file */
async function installed({ folder, uri }: Hypervisor): Promise<(...args: string[]) => Promise<Written>> {
  const root = join(folder, 'installed');
  // The program refuses symbolic links, and the folder of the tests may be one.
  const output = join(await realpath(folder), 'metrics/host.prom');
  await mkdir(join(folder, 'metrics'));
  await execa(join(repository, 'monitoring/host/install'), { env: { DESTDIR: root } });
  const program = join(root, 'usr/local/libexec/immutafs-host-metrics/immutafs-host-metrics');
  return async (...args) => {
    const begin = performance.now();
    const { stderr } = await execa(program, ['--output', output, '--uri', uri, ...args], { stdin: 'ignore' });
    const seconds = (performance.now() - begin) / 1000;
    const text = await readFile(output, 'utf8');
    assert.equal(await readdir(join(folder, 'metrics')), ['host.prom']);
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    assert.equal([checked.status, checked.stdout, checked.stderr], [0, '', ''], text);
    const lines = new Map(text.split('\n').map((line) => line.split(/ (?=[^ ]*$)/) as [string, string]));
    return { text, stderr, seconds, value: (name, labels) => lines.get(`immutafs_host_${name}{${labels}}`) };
  };
}

const ofGuest = 'domain="guest"';

/** Returns whether the disk of a domain is read-only: in QEMU, to libvirt, and at the next start. */
const views = ({ value }: Written, domain = 'guest') =>
  ['qemu', 'libvirt', 'next_start'].map((view) =>
    value('disk_read_only', `domain="${domain}",disk="vda",view="${view}"`),
  );

/** Returns the report of a sealed guest, as the real program prints it, with the present time. */
async function sealedReport(): Promise<Report> {
  const report = JSON.parse((await runIn(goodGuest(), 'status', '--json')).stdout) as Report;
  return { ...report, at: new Date().toISOString() };
}

/** Asserts what is written for a sealed guest whose report is true, and for reports that are not. */
async function assertClaims(guest: AgentDomain, collect: () => Promise<Written>): Promise<void> {
  const report = await sealedReport();
  const claimed = async (text: string) => {
    await guest.writeReport(text);
    return collect();
  };
  const sealed = await claimed(JSON.stringify(report));
  const { value, stderr } = sealed;
  assert.equal(views(sealed), ['1', '1', '1']);
  assert.equal([value('guest_answers', ofGuest), value('differences', ofGuest)], ['1', '0'], stderr);
  assert.is(value('guest_verdict', `${ofGuest},verdict="sealed"`), '1');
  assert.is(value('guest_disk_read_only', `${ofGuest},guest_disk="vda"`), '1');
  assert.is(value('guest_report_timestamp_seconds', ofGuest), `${Math.floor(Date.parse(report.at) / 1000)}`);
  assert.is(stderr, '');

  const open = report.disks.map((each) => ({ ...each, hostReadOnly: false }));
  const forged = await claimed(JSON.stringify({ ...report, disks: open, mode: 'maintenance' }));
  assert.is(forged.value('differences', ofGuest), '2', forged.stderr);
  assert.match(forged.stderr, 'guest: the guest is in mode maintenance, but its disk is read-only');

  const [first] = report.disks;
  const twice = await claimed(
    JSON.stringify({ ...report, disks: [first, { ...first, hostReadOnly: null }] }),
  );
  assert.is(
    twice.value('guest_disk_read_only', `${ofGuest},guest_disk="vda"`),
    '0',
    'a duplicate is one series',
  );

  for (const [title, text] of Object.entries({
    'no JSON': '{',
    'deep nesting': '['.repeat(100_000),
    'an array': '[]',
    'a verdict with a quotation mark': JSON.stringify({ ...report, verdict: 'sealed"} 1\nx 1' }),
    'a disk with a line feed': JSON.stringify({ ...report, disks: [{ ...first, name: 'vda"} 1\nup 0' }] }),
    'a read-only state that is a text': JSON.stringify({
      ...report,
      disks: [{ ...first, hostReadOnly: 'yes' }],
    }),
    'more disks than a report can have': JSON.stringify({ ...report, disks: Array(1001).fill(first) }),
    'a time that does not exist': JSON.stringify({ ...report, at: '2026-02-31T00:00:00Z' }),
  })) {
    const found = await claimed(text);
    assert.equal(
      [found.value('guest_answers', ofGuest), found.value('domain_error', ofGuest)],
      ['0', '0'],
      title,
    );
    assert.not.match(found.text, /guest_verdict|differences/, title);
    assert.match(found.stderr, /^guest: the report of the guest cannot be read: [^\n]+$/, title);
  }
}

/** Asserts that a guest cannot delay the program by its report, and that the other domains are still described. */
async function assertBounded(guest: AgentDomain, collect: () => Promise<Written>): Promise<void> {
  await guest.run('/bin/busybox ln -sf /dev/zero /run/immutafs/report.json');
  await waitFor(async () => (await collect()).stderr.includes('report.json is larger than 1048576 bytes'));
  // The delay lets the guest agent answer the command that stops it.
  await guest.run('/bin/busybox sleep 1; /bin/busybox killall -STOP qemu-ga');
  await waitFor(async () => {
    const { seconds, value } = await collect();
    assert.ok(seconds < 20, `${seconds} s`);
    assert.equal([value('guest_answers', ofGuest), value('domain_running', ofGuest)], ['0', '1']);
    return seconds > 4;
  });
}

async function waitFor(test: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 10; tries++) if (await test()) return;
  assert.unreachable('not after ten tries');
}

metrics(
  'a guest with an agent: true, forged, malformed and endless reports',
  async ({ hypervisor: host }) => {
    const run = await installed(host);
    const collect = () => run('--timeout', '15');
    const guest = await startAgentDomain(host, 'guest');
    await assertClaims(guest, collect);

    assert.not.match((await run('--no-guests')).text, /guest_|differences/);
    await setReadOnly(host, 'guest', false);
    assert.equal(views(await collect()), ['1', '1', '0']);
    await assertBounded(guest, collect);
  },
);

metrics(
  'domains without an agent: shut off, writable in QEMU alone, hanging, with hostile names',
  async (stub) => {
    const { folder, hypervisor: host } = stub;
    const run = await installed(host);
    await addHostileNames(stub);
    const off = await run();
    assert.is(off.value('domain_running', 'domain="stub"'), '0');
    assert.equal(views(off, 'stub'), [undefined, undefined, '1']);
    assert.not.match(off.text, /view="(qemu|libvirt)"|guest_/);
    assert.is(off.value('domain_running', 'domain="--all"'), '0');
    assert.is(off.value('domain_running', 'domain="a\\"} 1|$(x) \\\\\\\\ b"'), '0', off.text);
    assert.is((await stat(join(folder, 'metrics/host.prom'))).mode & 0o777, 0o644);

    const { emulator, overrideReadOnly } = await overridingEmulator(folder);
    await redefine(host, 'stub', (xml) => xml.replace(/<emulator>.*</, `<emulator>${emulator}<`));
    await overrideReadOnly(true);
    await host.virsh('start', 'stub');
    const on = await run();
    assert.equal(views(on, 'stub'), ['0', '1', '1']);
    assert.is(on.value('guest_answers', 'domain="stub"'), '0');

    const { stdout: pid } = await execa('pgrep', ['--full', `guest=stub.*${folder}`]);
    const qemu = Number(pid.split('\n')[0]);
    process.kill(qemu, 'SIGSTOP');
    const hung = await run('--timeout', '6');
    assert.ok(hung.seconds < 12, `${hung.seconds} s`);
    assert.is(hung.value('domain_error', 'domain="stub"'), '1', hung.text);
    assert.is(hung.value('domain_error', 'domain="--all"'), '0', 'the other domains are described');
    process.kill(qemu, 'SIGCONT');
  },
);

metrics(
  'a file that cannot be written, and a libvirt that does not answer: exit code 1, the old file stays',
  async ({ folder, hypervisor, virsh }) => {
    // There are metrics of a host without domains as well.
    await virsh('undefine', 'stub');
    const run = await installed(hypervisor);
    const { text } = await run();
    const real = await realpath(folder);
    await symlink(join(folder, 'metrics'), join(folder, 'link'));
    for (const [args, said] of [
      [['--output', join(real, 'link/host.prom')], /use a path without symbolic links/],
      [['--output', 'host.prom'], /is not an absolute path/],
      [['--output', join(real, 'absent/host.prom')], /is missing/],
      [['--uri', `qemu+unix:///system?socket=${folder}/absent`], /Failed to connect/],
    ] as const) {
      const failed: unknown = await run(...args).catch((error: unknown) => error);
      assert.match((failed as { stderr: string }).stderr, said);
      assert.is((failed as { exitCode: number }).exitCode, 1);
    }
    assert.is(await readFile(join(folder, 'metrics/host.prom'), 'utf8'), text);
    assert.equal(await readdir(join(folder, 'metrics')), ['host.prom']);
  },
);

/** Defines domains whose names look like an option, or contain what has a meaning in metrics and in a shell. */
async function addHostileNames({ hypervisor, xml }: Stub): Promise<void> {
  const anonymous = (await xml()).replace(/ *<uuid>.*<\/uuid>\n/, '');
  for (const name of ['--all', 'a"} 1|$(x) \\ b'])
    await defineXml(
      hypervisor,
      anonymous.replace('<name>stub<', () => `<name>${name}<`),
    );
}

metrics.run();
