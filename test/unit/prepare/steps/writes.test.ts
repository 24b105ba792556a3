import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Settings, Step } from '../../../../agent/prepare/engine/step.ts';
import { withBox } from '../../../harness/prepare-box.ts';
import type { Guest } from '../../../harness/guest.ts';
import { preparedGuest } from '../../../harness/ordinary-guest.ts';
import { planned, withSilent } from '../../../harness/planned.ts';
import { agent, now, openState, record, runs } from '../../../harness/search-fixture.ts';
import { tableOf } from '../../../harness/step-table.ts';

const writes = suite('step writes');
const conf = 'etc/immutafs/immutafs.conf';

interface Changed {
  /** "SECONDS-AGO TYPE PATH" */
  found: readonly string[];
  files?: Record<string, Guest['files'][string] | undefined>;
  ended?: 'good' | 'bad';
  calls?: string[][];
}

function guestWith({ found, files = {}, ended = 'good', calls = [] }: Changed): Guest {
  const guest = preparedGuest();
  guest.directories.push('opt');
  for (const [name, file] of Object.entries(files)) if (file !== undefined) guest.files[name] = file;
  guest.answers.run = (program, args) => {
    calls.push([program, ...args]);
    if (program === '/usr/bin/find' && args.includes('-newerct'))
      return { stdout: found.map(record).join(''), ended };
    return undefined;
  };
  return guest;
}
const keytab = { found: ['10 f /etc/krb5.keytab'] };
const table = tableOf(guestWith);
const stepOf = (changed: Changed, settings: Partial<Settings> = {}): Promise<Step> =>
  planned(guestWith(changed), 'writes', { settings });

writes(
  'the search covers the file systems of the system disk, and nothing ephemeral or persistent',
  async () => {
    const calls: string[][] = [];
    const text = 'OVERLAY=/opt/agent:noexec\nPERSIST=/opt/kept\nPERSIST_STORE=/home/store\n';
    await stepOf({ found: [], files: { [conf]: text }, calls });
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
  await stepOf({ found: [], files: { [conf]: 'PERSIST=/opt/kept\n' }, calls });
  assert.not.ok(calls[0]?.includes('/opt/kept'));
});

writes('--since DAYS searches for the changes of the last DAYS days', async () => {
  const calls: string[][] = [];
  const step = await stepOf({ found: [], calls }, { sinceDays: 3 });
  assert.ok(calls[0]?.includes(`@${Math.floor(now - 3 * 86400)}`));
  assert.match(step.why[0] ?? '', /\(3 days ago\)/);
});

for (const name of ['maps', 'cmdline'] as const) {
  writes(`a process whose ${name} cannot be read does not block the step, and is listed`, async () => {
    const files = {
      ...runs('/usr/bin/python3', 'python3 /opt/agent/bin'),
      ...{ 'proc/901/comm': 'agentd\n', 'proc/901/exe': { linkTo: '/opt/agent/bin' } },
    };
    const guest = guestWith({ found: ['10 f /opt/agent/state'], files });
    const step = await planned(guest, 'writes', { as: withSilent(name) });
    assert.equal(step.writes?.[0]?.programs, ['agentd (901)']);
    assert.match(
      step.why.join(' '),
      `may be missing, because not every process could be examined: process 900: ${name} hangs`,
    );
  });
}

writes('--accept changes does not accept what a known writer needs', async () =>
  assert.match((await stepOf(keytab, { acceptUntil: now })).why.join(' '), /keytab: 1 path/),
);

/** Checks the groups, as "WRITER-OR-DIRECTORY OVERLAY". */
const groups =
  (...expected: string[]) =>
  ({ writes: found = [] }: Step) =>
    assert.equal(
      found.map(({ writer, directory, overlay }) => [writer ?? directory, ...overlay].join(' ')),
      expected,
    );
const isNotBlocking = (step: Step) => assert.is(step.writes?.[0]?.blocking, false);
const inOpt = (files: Guest['files']): Changed => ({ found: ['10 f /opt/agent/state'], files });
const listed = /\/opt\/agent: 1 path changed.*prepare --rehearse.*--accept changes/;
const vendor = { found: ['10 f /etc/vendor/state'], files: { 'etc/vendor/state': '' } };
const openVendor = { ...openState, ...vendor.files, 'proc/900/fd/3': { linkTo: '/etc/vendor/state' } };
const adjtime = { found: ['10 f /etc/adjtime', '10 f /root/.bash_history', '10 f /boot/grub2/grubenv'] };
table('step writes: changes', 'writes', {
  'done: in /opt, and nothing runs': [inOpt(agent), listed, groups('/opt/agent'), isNotBlocking],
  'done: by a program that runs from /usr/local, for which no overlay is proposed': [
    {
      found: ['10 f /usr/local/bin/agentd'],
      files: { ...runs('/usr/local/bin/agentd'), 'usr/local/bin/agentd': '' },
    },
    groups('/usr/local/bin'),
  ],
  'done: without a package database, updates count as changes': [
    { found: ['42 f /usr/bin/tool'] },
    /\/usr\/bin: 1 path changed.*Updates cannot be recognised.*rpm is not installed/,
  ],
  'done: manual edits in /etc': [vendor, /\/etc\/vendor: 1 path changed/],
  'by hand: a file in /etc that a process has open for writing': [
    { ...vendor, files: openVendor },
    /agentd \(900\)\. This will fail in a sealed boot.*OVERLAY.*--accept PATH/,
  ],
  'done: at most ten directories of unknown origin are listed': [
    { found: Array.from({ length: 14 }, (_, index) => `10 f /etc/v${index}/state`) },
    ({ why }) => assert.is(why.filter((each) => /^\/etc\/v\d+: /.test(each)).length, 10),
    ({ why }) => assert.ok(why.some((each) => each.startsWith('4 further directories'))),
  ],
  'done: harmless ones': [
    adjtime,
    /Nothing is needed for: .*hwclock \(1\)/,
    groups('shell-history', 'boot-success', 'hwclock'),
  ],
  'needed: by a known writer, which gets an overlay': [
    { found: ['10 f /etc/cups/x'], files: { 'etc/cups/x': '' } },
    /cups: 1 path/,
    ['edit /etc/immutafs/immutafs.conf: OVERLAY=/etc/cups'],
  ],
  'by hand: a keytab': [keytab, /ad_maximum_machine_account_password_age = 0/],
  'done: about a database outside of /var, the step state decides': [
    { found: ['10 f /u01/oradata/system01.dbf'] },
    ...[/The step `state` says how to keep or reset \/u01\./, groups('/u01')],
  ],
  'by hand: an incomplete search': [
    { found: [], ended: 'bad' },
    /incomplete: find could not read every directory/,
  ],
  'by hand: an invalid line in the list of accepted changes': [
    { found: [], files: { 'etc/immutafs/accepted-writes': '/a\nnonsense\n' } },
    /accepted-writes:2: neither a path nor/,
  ],
});

/** Returns a guest with a keytab whose sssd renews it unless the text says otherwise. */
const sssd = (text: string, files: Changed['files'] = {}): Changed => ({
  found: [],
  files: { 'etc/krb5.keytab': 'key', 'usr/sbin/adcli': '', 'etc/sssd/sssd.conf': text, ...files },
});
const domain = '[domain/a]\nid_provider = AD\n';
const never = 'ad_maximum_machine_account_password_age = 0\n';
table('step writes: a renewal of the keytab', 'writes', {
  'by hand: is predicted, although nothing has changed': [
    sssd(domain),
    /keytab: 1 path \(\/etc\/krb5\.keytab\)/,
  ],
  'by hand: is disabled for another domain only': [sssd(`${domain}[domain/b]\nid_provider = ad\n${never}`)],
  'done: is disabled': [sssd(domain + never)],
  'done: is disabled in conf.d': [sssd(domain, { 'etc/sssd/conf.d/a.conf': `[domain/a]\n${never}` })],
  'done: adcli is not installed': [sssd(domain, { 'usr/sbin/adcli': undefined })],
  'done: there is no keytab': [sssd(domain, { 'etc/krb5.keytab': undefined })],
  'done: the provider is LDAP': [sssd('[domain/a]\nid_provider = ldap\n')],
  'done: the line is a comment': [sssd('[domain/a]\n# id_provider = ad\n')],
});

const only = ['writes' as const];
writes('accepted paths are done, also on the next run', () =>
  withBox(guestWith({ ...keytab, files: { 'etc/krb5.keytab': '' } }), async ({ prepare }) => {
    assert.is((await prepare({ only })).code, 1);
    const accept = ['/etc/krb5.keytab/'];
    assert.is((await prepare({ only, accept, apply: true, yes: true })).code, 0);
    assert.is((await prepare({ only })).code, 0);
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is((await prepare({ only })).code, 1);
  }),
);
writes('--apply writes the line, after which nothing is left to do, and --undo takes it back', () =>
  withBox(
    guestWith({ found: ['10 f /etc/cups/x'], files: { 'etc/cups/x': '' } }),
    async ({ prepare, read }) => {
      assert.is((await prepare({ only, apply: true, yes: true })).code, 0);
      assert.is(read(conf), 'OVERLAY=/etc/cups\n');
      assert.is((await prepare({ undo: true })).code, 0);
      assert.is(read(conf), '');
    },
  ),
);
writes.run();
