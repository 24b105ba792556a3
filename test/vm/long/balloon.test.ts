/** The host takes memory from a sealed guest whose layer of /var is full, and gives it back (docs/host.md, "Ballooning"). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { sleep, until } from '../../wire/support/until.ts';
import { checkOf, notPassed } from '../harness/expect.ts';
import { freePort } from '../libvirt/domain.ts';
import { ask, defineSealed, statusIn } from '../libvirt/fixture.ts';
import { forwardingTo, startRelpServer } from '../libvirt/forwarding.ts';
import { type Hypervisor, withHypervisor } from '../libvirt/hypervisor.ts';
import { type VirtualGuest, untilUp } from '../libvirt/virtual-guest.ts';

const balloon = suite('docs/host.md: ballooning');

const wholeMiB = 1024;

/** The memory with which the guest works, and that with which it hangs, in the table of the page. */
const [enoughMiB, tooLittleMiB] = sizesIn(readFileSync('docs/host.md', 'utf8'));

function sizesIn(page: string): [number, number] {
  const [, rows = ''] = /^### Ballooning$(.*?)^## /ms.exec(page) ?? [];
  const [enough, tooLittle, ...more] = [...rows.matchAll(/^\| (\d+) MiB \|/gm)].map(([, size]) =>
    Number(size),
  );
  assert.ok(enough !== undefined && tooLittle !== undefined && more.length === 0, rows);
  return [enough, tooLittle];
}

interface Fixture {
  host: Hypervisor;
  /** A sealed guest that forwards to a log server. */
  guest: VirtualGuest;
  /** Returns what the log server has received. */
  received: () => string;
}

const withGuest = (work: (fixture: Fixture) => Promise<void>) =>
  withHypervisor(async (host) => {
    const port = await freePort();
    const stop = await startRelpServer(host.folder, port);
    const options = { memoryMiB: wholeMiB, balloon: true, reachesHost: true };
    try {
      const guest = await defineSealed(host, { ...options, edit: forwardingTo(port) });
      await work({ host, guest, received: () => readFileSync(join(host.folder, 'received'), 'latin1') });
    } finally {
      stop();
    }
  });

/** Sets the memory of the running guest, and waits until the balloon has its size. */
async function setMemory({ virsh }: Hypervisor, mebibytes: number): Promise<void> {
  await virsh('setmem', 'guest', `${mebibytes}M`, '--live');
  const reached = async () => (await virsh('dommemstat', 'guest')).includes(`actual ${mebibytes * 1024}\n`);
  await until(`the guest has ${mebibytes} MiB`, reached, 120);
}

/** The bytes that QEMU has read from the system disk. */
const bytesRead = async ({ virsh }: Hypervisor) =>
  Number(/block\.0\.rd\.bytes=(\d+)/.exec(await virsh('domstats', '--block', 'guest'))?.[1]);

/** An entry every second, with numbers. */
const ticking = `systemd-run --unit=tick sh -c 'while :; do i=$((i + 1)); echo "tick $i"; sleep 1; done'`;

const ticksIn = (text: string) => [...text.matchAll(/tick (\d+)$/gm)].map(([, number]) => Number(number));

/** Asserts that the guest is sealed and forwards, and that no check fails but that of the space in the layer. */
async function assertFull({ guest, received }: Fixture): Promise<Report> {
  const known = ticksIn(received()).length;
  await until('entries arrive', () => ticksIn(received()).length > known, 60);
  const { exit, report } = await statusIn(guest);
  const { mode, enforcement, verdict, forward } = report;
  assert.equal(
    [exit, mode, enforcement, verdict, notPassed(report), forward?.state],
    [1, 'sealed', 'host', 'failed', ['var-usage'], 'connected'],
  );
  assert.match(checkOf(report, 'var-usage').observed, /^100% of /);
  return report;
}

/** Asserts that for 30 s, ssh does not answer, almost no log entries arrive, and the guest keeps reading its programs from the disk. */
async function assertHanging({ host, guest, received }: Fixture): Promise<void> {
  const state = async () => ({ read: await bytesRead(host), entries: ticksIn(received()).length });
  const before = await state();
  const answer = Promise.race([guest.ssh('echo answer').then(({ stdout }) => stdout), sleep(30_000)]);
  const [said] = await Promise.all([answer, sleep(30_000)]);
  const after = await state();
  const [mebibytes, entries] = [(after.read - before.read) / 2 ** 20, after.entries - before.entries];
  process.stdout.write(`30 s: ${mebibytes.toFixed(0)} MiB read, ${entries} entries\n`);
  assert.is.not(said, 'answer');
  assert.ok(mebibytes > 300, `${mebibytes} MiB`);
  assert.ok(entries < 10, `${entries} entries`);
}

balloon('with a full layer, the guest works with less memory, hangs with too little, and recovers', () =>
  withGuest(async (fixture) => {
    const { host, guest, received } = fixture;
    await ask(guest, ticking);
    assert.is((await statusIn(guest)).exit, 0);
    assert.is((await guest.ssh('dd if=/dev/zero of=/var/lib/fill bs=1M')).exit, 1, 'the layer is full');
    const { sizeBytes } = (await assertFull(fixture)).var;

    await setMemory(host, enoughMiB);
    assert.is(
      (await assertFull(fixture)).var.sizeBytes,
      sizeBytes,
      'the limit does not depend on the balloon',
    );

    await setMemory(host, tooLittleMiB);
    await sleep(20_000);
    await assertHanging(fixture);

    await setMemory(host, wholeMiB);
    await untilUp(guest, 120);
    await assertFull(fixture);
    await ask(guest, 'rm /var/lib/fill; systemctl stop tick; logger the end');
    await until('the end', () => /the end$/m.test(received()), 60);
    const numbers = [...new Set(ticksIn(received()))].toSorted((a, b) => a - b);
    assert.equal(
      numbers,
      [...numbers.keys()].map((index) => index + 1),
      'no entry is lost',
    );
    assert.not.match(received(), /Out of memory|oom-kill/, 'no process was killed');
    const { exit, report } = await statusIn(guest);
    assert.equal([exit, report.verdict], [0, 'sealed'], JSON.stringify(notPassed(report)));
  }),
);

balloon.run();
