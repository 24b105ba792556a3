import { existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { guestSuite } from '../harness/ansible-guest.ts';

/** Tests the action plug-in `guest` of the Ansible collection: jobs, and the file that is uploaded for a job. */
const action = guestSuite('the action plug-in guest');

/** Returns the names of the files in which the stubs have the states of units. */
const states = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('state-'));

/** Returns the folders that uploads have left. */
const left = () => readdirSync('/var/tmp').filter((name) => name.startsWith('immutafs.'));

action('a running job of the same name is joined only if its command is the same', async ({ guest }) => {
  const [started, end] = [guest.file('started'), guest.file('end')];
  const wait = `echo >>${started}; while [ ! -e ${end} ]; do sleep 0.1; done; echo first`;
  const job = (text: string, name = '') =>
    guest.run({ job: 'update', argv: ['sh', '-c', text], timeout: 60 }, 'guest', [], name);
  const first = job(wait);
  while (!existsSync(started)) await sleep(50);

  const other = await job('echo second');
  assert.is(other.failed, true, 'a job with another command is not reported as done');
  assert.match(other.msg ?? '', /^the guest: update-[0-9a-f]{16}\.service is still running another command/);
  const same = job(wait, 'same');
  while (!existsSync(guest.file('shown-same'))) await sleep(50);
  writeFileSync(end, '');
  for (const { failed, stdout } of [await first, await same]) {
    assert.equal([failed, stdout?.trim()], [false, 'first']);
  }
  assert.equal((await job('echo second')).stdout?.trim(), 'second', 'it is run when the other one has ended');
  const units = guest.units();
  assert.is(units.length, 2, 'the second task with the same command has started nothing');
  assert.is(new Set(units).size, 2);
});

action(
  'a job fails by its exit code, unless that is one of `ok`, and by a signal',
  async ({ guest, folder }) => {
    const job = (text: string, ok?: number[]) =>
      guest.run({ job: 'update', argv: ['sh', '-c', text], ...(ok && { ok }) });
    const one = await job('echo done; exit 1', [0, 1]);
    assert.equal([one.failed, one.rc, one.stdout?.trim()], [false, 1, 'done'], one.msg);
    assert.equal(states(folder), [], 'the unit is not left as a failed one');
    for (const [text, ok, msg] of [
      ['echo done; exit 1', undefined, 'sh failed (exit-code, exit code 1): done'],
      ['exit 2', [0, 1], 'sh failed (exit-code, exit code 2): '],
      ['kill -HUP $$', [0, 1], 'sh failed (signal, exit code 1): Hangup'],
    ] as const) {
      const { failed, msg: said } = await job(text, ok && [...ok]);
      assert.equal([failed, said], [true, msg]);
    }
    assert.is(states(folder).length, 3, 'the units of jobs that failed are left');
  },
);

action('a guest in which each query takes a second: a job is awaited in parts', async ({ guest }) => {
  const systemctl = guest.file('bin/systemctl');
  writeFileSync(systemctl, `#!/bin/sh\nsleep 1\n${readFileSync(systemctl, 'utf8')}`);
  const argv = ['sh', '-c', 'sleep 15; echo done'];
  const { failed, stdout, msg } = await guest.run({ job: 'update', argv, limit: 14, wait: 0, timeout: 60 });
  assert.equal([failed, stdout?.trim()], [false, 'done'], msg);
});

action('the output of a job is its last 40 lines', async ({ guest }) => {
  const { stdout } = await guest.run({ job: 'update', argv: ['seq', '60'] });
  assert.equal(
    stdout?.trim().split('\n'),
    Array.from({ length: 40 }, (_, index) => String(index + 21)),
  );
});

action('a file is uploaded to a folder that only root can enter, and removed', async ({ guest, folder }) => {
  const before = left();
  const src = path.join(folder, 'agent.rpm');
  writeFileSync(src, 'package\n');
  const look = 'cat "$1"; stat -c "%a %u %n" "${1%/*}"';
  const good = await guest.run({ job: 'install', src, argv: ['sh', '-c', look, 'sh'] });
  assert.is(good.failed, false, good.msg);
  assert.match(good.stdout ?? '', /^package\n700 0 \/var\/tmp\/immutafs\.[A-Za-z0-9]{10}\s*$/);
  const bad = await guest.run({ job: 'install', src, argv: ['sh', '-c', 'echo no room; exit 3', 'sh'] });
  assert.match(bad.msg ?? '', /^sh failed \(exit-code, exit code 3\): no room$/);
  assert.equal(left(), before);
});

action('a file that is changed after its upload is not used', async ({ guest, folder }) => {
  const before = left();
  const src = path.join(folder, 'agent.rpm');
  writeFileSync(src, 'package\n');
  // A process that can write to the uploaded file would change it before the job begins.
  const [stub, real] = [guest.file('bin/systemd-run'), guest.file('real')];
  renameSync(stub, real);
  const swap = `#!/bin/sh\nfor file; do :; done\necho swapped >"$file"\nexec ${real} "$@"\n`;
  writeFileSync(stub, swap, { mode: 0o755 });
  const ran = guest.file('ran');
  const swapped = await guest.run({ job: 'install', src, argv: ['touch', ran] });
  assert.is(swapped.failed, true);
  assert.match(
    swapped.msg ?? '',
    /does not have the SHA-256 of the uploaded file, [0-9a-f]{64}: nothing was run/,
  );
  assert.not.ok(existsSync(ran));
  assert.equal(left(), before);
});

action('a command that does not end is given up, and one that prints without end', async ({ guest }) => {
  const begin = Date.now();
  const hangs = await guest.run({ argv: ['sleep', '300'], limit: 2 });
  assert.equal([hangs.failed, hangs.rc], [true, null]);
  assert.is(hangs.msg, 'the guest: sleep did not end within the time limit of 2 s');
  const prints = await guest.run({ argv: ['cat', '/dev/zero'], limit: 100, wait: 100 });
  assert.is(prints.failed, true);
  assert.is(prints.msg, 'the guest: cat prints more than the controller stores (256 MiB)');
  assert.ok(Date.now() - begin < 60_000, `${Date.now() - begin} ms`);
});

action('a command that hangs once is repeated for the time `wait`', async ({ guest }) => {
  const file = guest.file('hung');
  const once = `[ -e ${file} ] || { touch ${file}; sleep 300; }; echo done`;
  const { failed, msg, stdout } = await guest.run({ argv: ['sh', '-c', once], limit: 2, wait: 30 });
  assert.equal([failed, stdout?.trim()], [false, 'done'], msg);
});

action(
  'the timeout of a task applies as well, and a job may take longer than the limit',
  async ({ guest }) => {
    const began = Date.now();
    const short = await guest.run({ argv: ['sleep', '300'], limit: 100 }, 'guest', ['--task-timeout', '2']);
    assert.is(short.failed, true);
    assert.match(short.msg ?? '', /timed out|timeout/i);
    assert.ok(Date.now() - began < 30_000, `${Date.now() - began} ms`);
    const argv = ['sh', '-c', 'sleep 4; echo done'];
    const { failed, msg, stdout } = await guest.run({ job: 'long', argv, limit: 15, timeout: 60 });
    assert.equal([failed, stdout?.trim()], [false, 'done'], msg);
  },
);

action.run();
