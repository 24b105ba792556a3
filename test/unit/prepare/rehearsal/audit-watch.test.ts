import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AuditWatch, DenialParser } from '../../../../agent/prepare/rehearsal/audit-watch.ts';
import { type SystemWriter, systemWriter } from '../../../../agent/system/writer.ts';
import { type Guest, goodGuest, withGuest } from '../../../harness/guest.ts';

const log = '/var/log/audit/audit.log';
const event = (
  serial: number,
  { exit = -30, exe = '"/opt/a/agent"', key = '"immutafs-rehearsal"' } = {},
  paths = [' item=0 name="/opt/a/data/" nametype=PARENT', ' item=1 name="/opt/a/data/x" nametype=CREATE'],
) =>
  [
    `type=SYSCALL msg=audit(1700000000.123:${serial}): arch=c000003e syscall=257 success=no exit=${exit} a0=1 pid=7 comm="x" exe=${exe} key=${key}`,
    `type=CWD msg=audit(1700000000.123:${serial}): cwd="/srv/work"`,
    ...paths.map((each) => `type=PATH msg=audit(1700000000.123:${serial}):${each}`),
    `type=PROCTITLE msg=audit(1700000000.123:${serial}): proctitle="x"`,
  ].join('\n');
const parse = (text: string) => {
  const parser = new DenialParser();
  return text.split('\n').flatMap((line) => parser.push(line));
};

const denials = suite('writes that the kernel refused');
denials('the file, not its parent folder', () =>
  assert.equal(parse(event(1)), [{ program: '/opt/a/agent', path: '/opt/a/data/x' }]),
);
denials('the parent folder, if only this is recorded', () =>
  assert.equal(parse(event(1, {}, [' item=0 name="/opt/a/data/" nametype=PARENT'])), [
    { program: '/opt/a/agent', path: '/opt/a/data' },
  ]),
);
denials('a relative and a hexadecimal name', () => {
  const hex = Buffer.from('/opt/a b').toString('hex').toUpperCase();
  assert.equal(
    parse(event(1, {}, [' item=0 name="x" nametype=NORMAL', ` item=1 name=${hex} nametype=NORMAL`])).map(
      (each) => each.path,
    ),
    ['/srv/work/x', '/opt/a b'],
  );
});
for (const [title, text] of Object.entries({
  'another error': event(1, { exit: -13 }),
  'another rule': event(1, { key: '"identity"' }),
  'the probes of this package': event(1, { exe: '"/usr/libexec/immutafs/try-write"' }),
  'no record': `cron: ${event(1).split('\n')[0]}`,
  'a name that leaves its folder': event(1, {}, [' item=0 name="../../etc/x" nametype=NORMAL']),
  'no name': event(1, {}, [' item=0 name=(null) nametype=UNKNOWN']),
})) {
  denials(`nothing: ${title}`, () => assert.equal(parse(text), []));
}
denials('records of two events do not mix', () => {
  const [first = '', ...rest] = event(1).split('\n');
  const other = event(2, { key: '"other"' }).split('\n');
  assert.equal(parse([first, ...other, ...rest].join('\n')), []);
});

/** Returns a guest with a running auditd. */
function audited(): Guest {
  const guest = goodGuest();
  Object.assign(guest.files, {
    'usr/sbin/auditctl': '',
    'run/auditd.pid': '12\n',
    'proc/12/comm': 'auditd\n',
    [log.slice(1)]: `${event(1)}\n`,
  });
  return guest;
}

async function watching(
  guest: Guest,
  status: string,
  exit: number,
  work: (watch: AuditWatch, root: string, ran: string[]) => Promise<void> | void,
): Promise<void> {
  await withGuest(guest, async (reader, root) => {
    const ran: string[] = [];
    const run: SystemWriter['run'] = (program, args) => {
      ran.push([program, ...args].join(' '));
      const ended = args[0] === '-s' ? { exit: 0, stdout: status } : { exit, stdout: '' };
      return Promise.resolve({ ...ended, stderr: 'no', late: false });
    };
    const watch = new AuditWatch(reader, { ...systemWriter(root), run });
    await watch.start();
    await work(watch, root, ran);
  });
}

denials('the rules are added and removed; only later records are read, complete lines only', () =>
  watching(audited(), 'enabled 1\nfailure 1\n', 0, async (watch, root, ran) => {
    const file = path.join(root, log);
    watch.read();
    assert.equal(watch.denials, []);
    const text = `${event(2, { exe: '"/bin/b"' })}\n`;
    fs.appendFileSync(file, text.slice(0, -30));
    watch.read();
    fs.appendFileSync(file, text.slice(-30));
    watch.read();
    watch.read();
    assert.equal(watch.denials, [{ program: '/bin/b', path: '/opt/a/data/x' }]);
    fs.writeFileSync(file, `${event(3, { exe: '"/bin/c"' })}\n`);
    watch.read();
    assert.is(watch.denials.at(-1)?.program, '/bin/c', 'after a rotation');
    await watch.stop();
    assert.match(watch.source, /auditd/);
    const rules = ran.map((line) => line.replace(/ -S \S+/g, ''));
    const rule = 'always,exit -F arch=b64 -F exit=-EROFS -k immutafs-rehearsal';
    assert.equal(rules, [
      '/usr/sbin/auditctl -s',
      ...['-a', '-a', '-d', '-d'].map((option) => `/usr/sbin/auditctl ${option} ${rule}`),
    ]);
  }),
);
const without = (file: string) => {
  const guest = audited();
  delete guest.files[file];
  return guest;
};
for (const [title, guest, status, exit, says] of [
  ['no auditctl', without('usr/sbin/auditctl'), 'enabled 1', 0, /auditctl is not installed/],
  ['no auditd', without('run/auditd.pid'), 'enabled 1', 0, /auditd does not run/],
  ['auditing is off', audited(), 'enabled 0', 0, /auditing is off/],
  ['locked rules', audited(), 'enabled 2', 0, /locked/],
  ['auditctl fails', audited(), 'enabled 1', 1, /auditctl: no/],
] as const) {
  denials(`${title}: only messages are recorded, and the report says why`, () =>
    watching(guest, status, exit, (watch, _root, ran) => {
      watch.read();
      assert.equal(watch.denials, []);
      assert.match(watch.source, says);
      assert.match(watch.source, /^only messages were recorded/);
      if (exit === 0) assert.is(ran.filter((line) => line.includes(' -a ')).length, 0);
    }),
  );
}
denials.run();
