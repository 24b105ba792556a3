import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { endCommand, parseLimit } from '../../../agent/commands/rehearsal.ts';
import type { Outcome } from '../../../agent/prepare/rehearsal/outcome.ts';
import { type SystemWriter, systemWriter } from '../../../agent/system/writer.ts';
import { type Ran, runCommand } from '../../harness/command-line.ts';
import { type Guest, bootEnv, goodGuest, rehearsalGuest, withGuest } from '../../harness/guest.ts';
import { preparedGuest } from '../../harness/ordinary-guest.ts';

const directory = 'etc/immutafs/rehearsal';
const units = (program: string) =>
  program === '/usr/bin/systemctl'
    ? { stdout: 'Id=bad.service\nActiveState=failed\nResult=exit-code\n', ended: 'good' as const }
    : undefined;
/** A guest on which every step of prepare is done. */
function ready(changes: Guest['files'] = {}): Guest {
  const guest = preparedGuest();
  Object.assign(guest.files, { 'proc/sys/kernel/random/boot_id': 'first\n' }, changes);
  guest.answers.run = units;
  return guest;
}

interface Box {
  root: string;
  run: (...argv: string[]) => Promise<Ran>;
  outcome: () => Promise<Outcome | null>;
  write: (file: string, text: string) => void;
  has: (file: string) => boolean;
}

function withBox(guest: Guest, work: (box: Box) => Promise<void>): Promise<void> {
  return withGuest(guest, async (reader, root) => {
    const run = (...argv: string[]) => runCommand(reader, ['prepare', ...argv], { root });
    await work({
      root,
      run,
      outcome: async () => {
        const { stdout, stderr } = await run('--json', '--only', 'mtab');
        assert.match(stdout, /^\{/, stderr);
        return (JSON.parse(stdout) as { rehearsal: Outcome | null }).rehearsal;
      },
      write: (file, text) => fs.writeFileSync(path.join(root, file), text),
      has: (file) => fs.existsSync(path.join(root, file)),
    });
  });
}

const limit = suite('--limit');
for (const [text, seconds] of [
  [undefined, 1800],
  ['60s', 60],
  ['30m', 1800],
  ['45min', 2700],
  ['2h', 7200],
  ['168h', 604_800],
] as const) {
  limit(String(text), () => assert.is(parseLimit(text), seconds));
}
for (const text of ['', '59s', '0m', '30', '169h', '-5m', '5 m', '1d', '9999999s', '5m; reboot'])
  limit(`refused: ${text}`, () => assert.throws(() => parseLimit(text), /^--limit takes a duration/));
limit.run();

const request = suite('prepare --rehearse');
request('does not begin while state is undecided, unless it may be discarded', () => {
  const guest = ready({ 'var/lib/acme/db': 'row' });
  guest.answers.run = (program, args) =>
    program === '/usr/bin/find' && args.includes('%T@ %s %U %p\\0')
      ? { stdout: '9e8 3 0 /var/lib/acme/db\0', ended: 'good' }
      : units(program);
  return withBox(guest, async ({ run, has }) => {
    const refused = await run('--rehearse');
    assert.is(refused.code, 1);
    assert.match(refused.stdout, /Neither kept nor accepted: \/var\/lib\/acme \(3 B\)/);
    assert.not.ok(has(`${directory}/requested`));
    assert.is((await run('--rehearse', '--discard-state')).code, 0);
    assert.ok(has(`${directory}/requested`));
    assert.is((await run('--discard-state')).code, 2);
  });
});

request('writes the baseline and the marker, which only root can read; prepare shows the request', () =>
  withBox(ready(), async ({ root, run, outcome }) => {
    assert.is(await outcome(), null);
    const { code, stdout, stderr } = await run('--rehearse', '--limit', '90s');
    assert.is(code, 0, stdout + stderr);
    assert.match(stdout, /failed: bad\.service/);
    assert.match(stdout, /90s after its start the guest reboots into maintenance mode/);
    const file = (name: string) => path.join(root, directory, name);
    assert.is(fs.readFileSync(file('requested'), 'utf8'), '90\n');
    const { limitSeconds, bootId, baseline } = JSON.parse(
      fs.readFileSync(file('request.json'), 'utf8'),
    ) as Record<string, unknown>;
    assert.equal({ limitSeconds, bootId }, { limitSeconds: 90, bootId: 'first' });
    assert.equal((baseline as { failed: string[] }).failed, ['bad.service']);
    assert.is(fs.statSync(path.join(root, directory)).mode & 0o777, 0o700);
    assert.is(fs.statSync(file('requested')).mode & 0o777, 0o600);
    assert.equal(await outcome(), { state: 'requested', limitSeconds: 90 });
    assert.match((await run('--only', 'mtab')).stdout, /The next boot is a rehearsal for at most 1 min/);
  }),
);
request('--end-rehearsal withdraws it', () =>
  withBox(ready(), async ({ run, outcome, has }) => {
    assert.is((await run('--rehearse')).code, 0);
    assert.is((await run('--end-rehearsal')).code, 0);
    assert.not.ok(has(`${directory}/requested`));
    assert.is(await outcome(), null);
    const { code, stdout } = await run('--end-rehearsal');
    assert.equal([code, stdout], [1, 'There is no rehearsal to end.\n']);
  }),
);
request('a new request removes the report of the last rehearsal', () =>
  withBox(ready(), async ({ run, write, has }) => {
    await run('--rehearse');
    write(`${directory}/report.json`, '{}');
    await run('--rehearse');
    assert.not.ok(has(`${directory}/report.json`));
  }),
);
const notInstalled = ready();
notInstalled.files['boot/initramfs-3.10.0-1160.el7.x86_64.img'] = 'x';
const writableRoot = ready();
writableRoot.files['etc/fstab'] = (writableRoot.files['etc/fstab'] as string).replace(/\bro\b/, 'rw');
for (const [title, guest, says] of [
  ['the initramfs lacks the hook', notInstalled, /prepare --apply --only initramfs$/m],
  ['fstab mounts / read-write', writableRoot, /prepare --apply --only fstab$/m],
  ['MODE=sealed', ready({ 'etc/immutafs/immutafs.conf': 'MODE=sealed\n' }), /^MODE=sealed in .* decides/],
  ['a kernel argument', ready({ 'proc/cmdline': 'ro immutafs=off\n' }), /^immutafs=off on the kernel/],
  ['a guest that the host sealed', goodGuest(), /^This guest is sealed: disk vda is read-only/],
  ['a rehearsal', rehearsalGuest(), /^This boot is a rehearsal/],
] as const) {
  request(`refused: ${title}`, () =>
    withBox(guest, async ({ run, has }) => {
      const { code, stdout, stderr } = await run('--rehearse');
      assert.is(code, 1, stderr);
      assert.match(stdout, says);
      assert.not.ok(has(`${directory}/requested`));
    }),
  );
}
request('permitted with immutafs=auto', () =>
  withBox(ready({ 'proc/cmdline': 'ro immutafs=auto\n' }), async ({ run }) =>
    assert.is((await run('--rehearse')).code, 0),
  ),
);
request('a directory that another user can write to is refused', () =>
  withBox(ready(), async ({ root, run, has }) => {
    fs.mkdirSync(path.join(root, directory), { recursive: true });
    fs.chmodSync(path.join(root, directory), 0o777);
    const { code, stderr } = await run('--rehearse');
    assert.is(code, 3);
    assert.match(stderr, /users other than root can write to it/);
    assert.not.ok(has(`${directory}/requested`));
  }),
);
request('a symbolic link in place of the directory is refused', () =>
  withBox(ready(), async ({ root, run }) => {
    fs.mkdirSync(path.join(root, 'etc/immutafs'), { recursive: true });
    fs.mkdirSync(path.join(root, 'elsewhere'));
    fs.symlinkSync('../../elsewhere', path.join(root, directory));
    const { code, stderr } = await run('--rehearse');
    assert.is(code, 3);
    assert.match(stderr, /is not a directory/);
    assert.equal(fs.readdirSync(path.join(root, 'elsewhere')), []);
  }),
);
for (const argv of [
  ['--limit', '30m'],
  ['--rehearse', '--limit', '5'],
  ['--rehearse', '--move-state', '/var/lib/a'],
  ['--rehearse', '--only', 'fstab'],
  ['--reboot'],
  ['--rehearse', '--undo'],
  ['--end-rehearsal', '--rehearse'],
  ['--end-rehearsal', '--json'],
]) {
  request(`usage error: ${argv.join(' ')}`, () =>
    withBox(ready(), async ({ run, has }) => {
      assert.is((await run(...argv)).code, 2);
      assert.not.ok(has(`${directory}/requested`));
    }),
  );
}
request('an ended rehearsal reboots the guest', () =>
  withGuest(rehearsalGuest(), async (reader, root) => {
    const ran: string[] = [];
    const run: SystemWriter['run'] = (program, args) => {
      ran.push([program, ...args].join(' '));
      return Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false });
    };
    const output = { stdout: () => undefined, stderr: () => undefined, terminal: false };
    assert.is(await endCommand(reader, { ...systemWriter(root), run }, output), 0);
    assert.equal(ran, ['/usr/bin/systemctl --no-block reboot']);
    assert.ok(fs.existsSync(path.join(root, 'run/immutafs/rehearsal-ended')));
  }),
);
request('check --ready-to-seal mentions the last rehearsal and does not require one', () =>
  withGuest(ready(), async (reader, root) => {
    const check = () => runCommand(reader, ['check', '--ready-to-seal'], { root });
    assert.equal((await check()).stdout, 'Ready to seal.\n');
    await runCommand(reader, ['prepare', '--rehearse'], { root });
    const { code, stdout } = await check();
    assert.is(code, 0);
    assert.match(stdout, /^Ready to seal\.\nThe next boot is a rehearsal for at most 30 min/);
  }),
);
request.run();

const saved = {
  ...{ schema: 1, id: 'r', bootId: 'second', began: '2026-03-04T05:00:00.000Z' },
  ...{ savedAt: '2026-03-04T05:30:00.000Z', limitSeconds: 1800, uptimeSeconds: 1800, endedBy: null },
  ...{ settledSeconds: 41, ready: false, why: ['1 problem was found.'], omitted: 0, growth: null },
  observations: [
    {
      ...{ kind: 'refused', blocking: true, subject: 'a.service\u001b[2J', count: 3, folder: '/opt/a' },
      ...{ paths: ['/opt/a/x\ny'], messages: ['no \u202e'], remedy: 'Add /opt/a to OVERLAY.' },
    },
  ],
  add: { overlay: 'OVERLAY=/opt/a', persistInstead: 'PERSIST=/opt/a' },
  sources: { journal: '', audit: 'recorded' },
};
const before = {
  ...{ schema: 1, id: 'r', requestedAt: '2026-03-04T04:00:00.000Z', bootId: 'zeroth', limitSeconds: 1800 },
  baseline: { failed: [], skipped: [], refused: [] },
};
const files = (report: object | undefined, asked: object = before) => ({
  [`${directory}/request.json`]: JSON.stringify(asked),
  ...(report === undefined ? {} : { [`${directory}/report.json`]: JSON.stringify(report) }),
});

const outcomes = suite('the outcome of a rehearsal, in a later boot');
for (const [endedBy, how, says] of [
  [null, 'power-cut', /It ended without a shutdown \(power cut, reset or crash\)/],
  ['limit', 'limit', /It ended at its time limit, 30 min after the start/],
  ['command', 'command', /ended by `immutafs-agent prepare --end-rehearsal`/],
  ['shutdown', 'shutdown', /It was ended by a shutdown/],
] as const) {
  outcomes(how, () =>
    withBox(ready(files({ ...saved, endedBy })), async ({ outcome, run }) => {
      const found = await outcome();
      assert.is(found?.state === 'ended' && found.how, how);
      const { stdout } = await run('--only', 'mtab');
      const text = stdout.replace(/\n +/g, ' ');
      assert.match(text, says);
      assert.match(
        text,
        /Not ready: 1 problem was found\. .* refused {2}a\.service\?\[2J: \/opt\/a\/x\\ny \(3 times\)/,
      );
      assert.match(stdout, /^ {4}OVERLAY=\/opt\/a$/m);
      for (const hidden of ['\u001b', '\u202e']) assert.not.ok(stdout.includes(hidden));
    }),
  );
}
outcomes('the host has sealed the guest since', () => {
  const guest = goodGuest();
  Object.assign(guest.files, files(saved));
  return withBox(guest, async ({ outcome, run }) => {
    const found = await outcome();
    assert.ok(found?.state === 'ended' && found.sealedNow);
    assert.match((await run()).stdout, /^This guest is sealed[^]*The host has sealed this guest since\./);
  });
});
outcomes('the request was not carried out', () => {
  const guest = goodGuest();
  Object.assign(guest.files, files(undefined), {
    [`${directory}/requested`]: '1800\n',
    'run/immutafs/boot.env': `${bootEnv()}WARNING=a rehearsal was requested and is not carried out, because x\n`,
  });
  return withBox(guest, async ({ outcome, run }) => {
    assert.equal(await outcome(), {
      state: 'not carried out',
      reasons: ['a rehearsal was requested and is not carried out, because x'],
    });
    assert.match(
      (await run()).stdout,
      /^This guest is sealed[^]*A rehearsal was requested, but this boot is not a rehearsal[^]* because x\n/,
    );
  });
});
for (const [title, report] of [
  ['the rehearsal left none', undefined],
  ['it belongs to an earlier rehearsal', { ...saved, id: 'earlier' }],
] as const) {
  outcomes(`no report: ${title}`, () =>
    withBox(ready(files(report)), async ({ outcome, run }) => {
      assert.equal(await outcome(), { state: 'no report', sealedNow: false });
      assert.match((await run('--only', 'mtab')).stdout, /The last rehearsal left no report/);
    }),
  );
}
const damages: [string, object][] = [
  ['ready', { ready: 'yes' }],
  ['observations', { observations: [{ kind: 'refused' }] }],
  ['savedAt', { savedAt: '\u001b[2J' }],
  ['growth', { growth: { seconds: 'x' } }],
  ['add', { add: null }],
];
for (const [name, change] of damages) {
  outcomes(`a damaged report does not prevent prepare: ${name}`, () =>
    withBox(ready(files({ ...saved, ...change })), async ({ outcome, run }) => {
      assert.is((await outcome())?.state, 'unreadable');
      const { code, stdout } = await run('--only', 'mtab');
      assert.is(code, 0);
      assert.match(stdout, /The last rehearsal cannot be shown: \S+report\.json: /);
    }),
  );
}
outcomes('a report that another user can write to is not shown', () =>
  withBox(ready(files(saved)), async ({ root, outcome }) => {
    fs.chmodSync(path.join(root, directory, 'report.json'), 0o666);
    assert.is((await outcome())?.state, 'unreadable');
  }),
);
outcomes('the rehearsal itself: the time that is left, and the report so far', () => {
  const guest = rehearsalGuest();
  Object.assign(guest.files, files(undefined), {
    'proc/sys/kernel/random/boot_id': 'second\n',
    'run/immutafs/rehearsal.json': JSON.stringify(saved),
  });
  return withBox(guest, async ({ outcome, run }) => {
    const found = await outcome();
    assert.ok(found?.state === 'running' && found.endsInSeconds === 1700 && found.report?.id === 'r');
    assert.match((await run()).stdout, /It ends in 28 min\.[^]*Not ready so far:/);
  });
});
outcomes.run();
