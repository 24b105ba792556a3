import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Settings, Step } from '../../../../agent/prepare/engine/step.ts';
import { withBox } from '../../../harness/prepare-box.ts';
import type { Guest } from '../../../harness/guest.ts';
import { preparedGuest } from '../../../harness/ordinary-guest.ts';
import { planned, withSilent } from '../../../harness/planned.ts';
import { agent, now, openState, record, runs } from '../../../harness/search-fixture.ts';

const writes = suite('step writes');

interface Changed {
  /** "SECONDS-AGO TYPE PATH" */
  found: readonly string[];
  /** The output of rpm -qa; undefined if rpm is not installed. */
  rpm?: string;
  files?: Guest['files'];
  ended?: 'good' | 'bad';
  calls?: string[][];
}

function guestWith({ found, rpm, files = {}, ended = 'good', calls = [] }: Changed): Guest {
  const guest = preparedGuest();
  guest.directories.push('opt');
  Object.assign(guest.files, files, rpm === undefined ? {} : { 'usr/bin/rpm': '' });
  guest.answers.run = (program, args) => {
    calls.push([program, ...args]);
    if (program === '/usr/bin/find' && args.includes('-newerct'))
      return { stdout: found.map(record).join(''), ended };
    return program === '/usr/bin/rpm' ? { stdout: rpm ?? '', ended: 'good' } : undefined;
  };
  return guest;
}

const stepOf = (changed: Changed, settings: Partial<Settings> = {}): Promise<Step> =>
  planned(guestWith(changed), 'writes', { settings });

writes(
  'the search covers the file systems of the system disk, and nothing ephemeral or persistent',
  async () => {
    const calls: string[][] = [];
    const files = {
      'etc/immutafs/immutafs.conf':
        'OVERLAY=/opt/agent:noexec\nPERSIST=/opt/kept\nPERSIST_STORE=/home/store\n',
    };
    await stepOf({ found: [], files, calls });
    const [, ...args] = calls[0] ?? [];
    const options = args.indexOf('-ignore_readdir_race');
    assert.equal(args.slice(0, options), ['/', '/boot']);
    const pruned = args.slice(args.indexOf('('), args.indexOf('-prune'));
    const excluded = pruned.filter((_, index) => pruned[index - 1] === '-path');
    assert.is(excluded.join(' '), '/var /tmp /run /dev /proc /sys /home /opt/agent /opt/kept');
    assert.is(args[args.indexOf('-newerct') + 1], `@${Math.floor(now - 100)}`);
  },
);

writes('without a store, PERSIST excludes nothing', async () => {
  const calls: string[][] = [];
  await stepOf({ found: [], files: { 'etc/immutafs/immutafs.conf': 'PERSIST=/opt/kept\n' }, calls });
  assert.not.ok(calls[0]?.includes('/opt/kept'));
});

writes('--since DAYS searches for the changes of the last DAYS days', async () => {
  const calls: string[][] = [];
  const step = await stepOf({ found: [], calls }, { sinceDays: 3 });
  assert.ok(calls[0]?.includes(`@${Math.floor(now - 3 * 86400)}`));
  assert.match(step.why[0] ?? '', /\(3 days ago\)/);
});

writes('without a package database, updates count as changes', async () => {
  const step = await stepOf({ found: ['42 f /usr/bin/tool'] });
  assert.match(
    step.why.join(' '),
    /\/usr\/bin: 1 path changed.*Updates cannot be recognised.*rpm is not installed/,
  );
});

for (const name of ['maps', 'cmdline'] as const) {
  writes(`a process whose ${name} cannot be read does not block the step, and is listed`, async () => {
    const guest = guestWith({
      found: ['10 f /opt/agent/state'],
      files: {
        ...runs('/usr/bin/python3', 'python3 /opt/agent/bin'),
        'proc/901/comm': 'agentd\n',
        'proc/901/exe': { linkTo: '/opt/agent/bin' },
      },
    });
    const step = await planned(guest, 'writes', { as: withSilent(name) });
    assert.equal(step.writes?.[0]?.programs, ['agentd (901)']);
    assert.match(
      step.why.join(' '),
      `may be missing, because not every process could be examined: process 900: ${name} hangs`,
    );
  });
}

for (const [title, files] of [
  ['nothing runs', agent],
  ['a program of another directory runs', runs('/opt/agent2/bin')],
  ['an editor shows a file of it', runs('/usr/bin/vi', 'vi /opt/agent/state')],
] as const) {
  writes(`a changed directory in /opt is listed and needs nothing if ${title}`, async () => {
    const step = await stepOf({ found: ['10 f /opt/agent/state'], files });
    assert.is(step.state, 'done');
    assert.equal(step.actions, []);
    assert.equal(
      step.writes?.map(({ directory, overlay, blocking }) => [directory, overlay, blocking]),
      [['/opt/agent', [], false]],
    );
    assert.match(step.why.join(' '), /\/opt\/agent: 1 path changed.*prepare --rehearse.*--accept changes/);
  });
}

writes('a program that runs from /usr/local proposes no overlay there', async () => {
  const files = { ...runs('/usr/local/bin/agentd'), 'usr/local/bin/agentd': '' };
  const step = await stepOf({ found: ['10 f /usr/local/bin/agentd'], files });
  assert.equal([step.state, step.writes?.[0]?.overlay], ['done', []]);
});

writes('manual edits in /etc are listed and need nothing', async () => {
  const step = await stepOf({ found: ['10 f /etc/vendor/state'], files: { 'etc/vendor/state': '' } });
  assert.is(step.state, 'done');
  assert.match(step.why.join(' '), /\/etc\/vendor: 1 path changed/);
});

writes('a file in /etc that a process has open for writing needs a decision', async () => {
  const files = { ...openState, 'etc/vendor/state': '', 'proc/900/fd/3': { linkTo: '/etc/vendor/state' } };
  const step = await stepOf({ found: ['10 f /etc/vendor/state'], files });
  assert.is(step.state, 'by hand');
  assert.equal(step.actions, []);
  assert.match(
    step.why.join(' '),
    /agentd \(900\)\. This will fail in a sealed boot.*OVERLAY.*--accept PATH/,
  );
});

writes('at most ten directories with changes of unknown origin are listed', async () => {
  const step = await stepOf({ found: Array.from({ length: 14 }, (_, index) => `10 f /etc/v${index}/state`) });
  assert.is(step.state, 'done');
  assert.is(step.why.filter((each) => /^\/etc\/v\d+: /.test(each)).length, 10);
  assert.ok(step.why.some((each) => each.startsWith('4 further directories')));
});

writes('harmless changes are done', async () => {
  const found = ['10 f /etc/adjtime', '10 f /root/.bash_history', '10 f /boot/grub2/grubenv'];
  const step = await stepOf({ found });
  assert.is(step.state, 'done', step.why.join(' '));
  assert.match(step.why.join(' '), /Nothing is needed for: .*hwclock \(1\)/);
  assert.is(step.writes?.length, 3);
});

writes('a keytab is a decision of the administrator', async () => {
  const step = await stepOf({ found: ['10 f /etc/krb5.keytab'] });
  assert.is(step.state, 'by hand');
  assert.match(step.why.join(' '), /ad_maximum_machine_account_password_age = 0/);
});

const sssd = (text: string): Guest['files'] => ({
  'etc/krb5.keytab': 'key',
  'usr/sbin/adcli': '',
  'etc/sssd/sssd.conf': text,
});
const domain = '[domain/a]\nid_provider = AD\n';
const never = 'ad_maximum_machine_account_password_age = 0\n';

writes('a keytab that sssd will renew is predicted, although nothing has changed', async () => {
  const step = await stepOf({ found: [], files: sssd(domain) });
  assert.is(step.state, 'by hand');
  assert.match(step.why.join(' '), /keytab: 1 path \(\/etc\/krb5\.keytab\)/);
});

for (const [title, files] of [
  ['renewal is disabled', sssd(domain + never)],
  ['renewal is disabled in conf.d', { ...sssd(domain), 'etc/sssd/conf.d/a.conf': `[domain/a]\n${never}` }],
  ['adcli is not installed', { ...sssd(domain), 'usr/sbin/adcli': undefined }],
  ['there is no keytab', { ...sssd(domain), 'etc/krb5.keytab': undefined }],
  ['the provider is LDAP', sssd('[domain/a]\nid_provider = ldap\n')],
  ['the line is a comment', sssd('[domain/a]\n# id_provider = ad\n')],
] as const) {
  writes(`no renewal of a keytab is predicted if ${title}`, async () => {
    const present = Object.entries(files).filter(([, text]) => text !== undefined);
    const step = await stepOf({ found: [], files: Object.fromEntries(present) as Guest['files'] });
    assert.is(step.state, 'done', step.why.join(' '));
  });
}

writes('a renewal that is disabled for another domain only is predicted', async () => {
  const files = sssd(`${domain}[domain/b]\nid_provider = ad\n${never}`);
  assert.is((await stepOf({ found: [], files })).state, 'by hand');
});

writes('about a database outside of /var, the step state decides', async () => {
  const step = await stepOf({ found: ['10 f /u01/oradata/system01.dbf'] });
  assert.is(step.state, 'done');
  assert.equal(
    step.writes?.map(({ writer, directory, overlay }) => [writer, directory, overlay]),
    [[null, '/u01', []]],
  );
  assert.match(step.why.join(' '), /The step `state` says how to keep or reset \/u01\./);
});

writes('an incomplete search is never done', async () => {
  const step = await stepOf({ found: [], ended: 'bad' });
  assert.is(step.state, 'by hand');
  assert.match(step.why.join(' '), /incomplete: find could not read every directory/);
});

writes('accepted paths are done, also on the next run', () =>
  withBox(guestWith({ found: ['10 f /etc/krb5.keytab'] }), async ({ prepare }) => {
    assert.is((await prepare({ only: ['writes'] })).code, 1);
    const options = { only: ['writes' as const] };
    const accept = { ...options, accept: ['/etc/krb5.keytab/'] };
    assert.is((await prepare({ ...accept, apply: true, yes: true })).code, 0);
    assert.is((await prepare(options)).code, 0);
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is((await prepare(options)).code, 1);
  }),
);

writes('--accept changes does not accept what a known writer needs', async () => {
  const step = await stepOf({ found: ['10 f /etc/krb5.keytab'] }, { acceptUntil: now });
  assert.match(step.why.join(' '), /keytab: 1 path/);
});

writes('an invalid line in the list of accepted changes is reported', async () => {
  const step = await stepOf({ found: [], files: { 'etc/immutafs/accepted-writes': '/a\nnonsense\n' } });
  assert.is(step.state, 'by hand');
  assert.match(step.why.join(' '), /accepted-writes:2: neither a path nor/);
});

writes('--apply writes the line, which is done afterwards, and --undo restores it', () =>
  withBox(
    guestWith({ found: ['10 f /etc/cups/x'], files: { 'etc/cups/x': '' } }),
    async ({ prepare, root }) => {
      const options = { only: ['writes' as const] };
      const { stdout } = await prepare({ ...options, apply: true, yes: true });
      assert.match(stdout, /writes: .*cups/);
      const fs = await import('node:fs');
      const conf = () => fs.readFileSync(`${root}/etc/immutafs/immutafs.conf`, 'utf8');
      assert.match(conf(), /^OVERLAY=\/etc\/cups$/m);
      assert.is((await prepare({ undo: true })).code, 0);
      assert.is(conf(), '');
    },
  ),
);
writes.run();
