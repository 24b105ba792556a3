import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { PrepareOptions } from '../../../../agent/commands/prepare.ts';
import type { Step } from '../../../../agent/prepare/engine/step.ts';
import type { Guest } from '../../../harness/guest.ts';
import { preparedGuest } from '../../../harness/ordinary-guest.ts';
import type { Plan } from '../../../../agent/prepare/engine/plan.ts';
import { planText, readinessText } from '../../../../agent/prepare/engine/text.ts';
import { planOf, planned } from '../../../harness/planned.ts';
import { errorOf } from '../../../harness/rejection.ts';
import { withBox } from '../../../harness/prepare-box.ts';
import { agent, now, openState, record, runs } from '../../../harness/search-fixture.ts';
import { tableOf } from '../../../harness/step-table.ts';

const state = suite('step state');

interface Found {
  /** "SECONDS-AGO BYTES PATH", or "SECONDS-AGO BYTES UID PATH" for the files of another user than root */
  found: readonly string[];
  /** What changed outside of /var since the boot: "SECONDS-AGO TYPE PATH" */
  changed?: readonly string[];
  /** The output of rpm -qa. */
  rpm?: string;
  files?: Guest['files'];
  ended?: 'good' | 'bad' | 'deadline';
  calls?: string[][];
}

function guestWith(guestFound: Found): Guest {
  const { found, changed = [], rpm = '', files = {}, ended = 'good', calls = [] } = guestFound;
  const guest = preparedGuest();
  guest.directories.push('opt');
  Object.assign(guest.files, files, { 'usr/bin/rpm': '' });
  const records = (each: readonly string[]) => each.map(record).join('');
  guest.answers.run = (program, args) => {
    if (program === '/usr/bin/find' && args.includes('-newerct'))
      return { stdout: records(changed), ended: 'good' };
    calls.push([program, ...args]);
    if (program === '/usr/bin/find')
      return { stdout: records(found.filter((each) => isSearched(args, each)).map(withUid)), ended };
    return program === '/usr/bin/rpm' ? { stdout: rpm, ended: 'good' } : undefined;
  };
  return guest;
}

function withUid(found: string): string {
  return found.replace(/^(\S+ \d+) (?!\d+ \/)/, '$1 0 ');
}

/** Whether find searches a file. A directory that is not searched stands before `-prune`. */
function isSearched(args: readonly string[], found: string): boolean {
  const [, path = ''] = /^\S+ \S+ (?:\d+ )?(\/.*)$/s.exec(found) ?? [];
  const isIn = (directory: string | undefined) => path.startsWith(`${directory}/`) || path === directory;
  const roots = args.slice(0, args.indexOf('-ignore_readdir_race'));
  const pruned = args.filter((_, index) => args[index - 1] === '-path');
  return roots.some(isIn) && !pruned.some((each) => path.startsWith(`${each}/`));
}

const table = tableOf(guestWith);
const stepOf = (found: Found): Promise<Step> => planned(guestWith(found), 'state');
/** Checks the findings, as "SERVICE-OR-DIRECTORY NUMBER-OF-FILES ITEM-OF-PERSIST...". */
const findings =
  (...expected: string[]) =>
  ({ stateFindings = [] }: Step) =>
    assert.equal(
      stateFindings.map(({ service, name, files, persist }) =>
        [service ?? name, files, ...persist].join(' '),
      ),
      expected,
    );
/** Checks the proposals and the commands of the findings. */
const proposals =
  (...expected: (readonly [string, string])[]) =>
  ({ stateFindings = [] }: Step) =>
    assert.equal(
      stateFindings.map(({ proposal, command }) => [proposal, command]),
      expected,
    );
const conf = 'etc/immutafs/immutafs.conf';

const services: Found = {
  found: [
    ...['10 5000 /var/lib/pgsql/data/a', '10 100 /var/lib/pgsql/data/b'],
    ...['10 9 /var/lib/acme/x/y', '10 1 /var/flag'],
  ],
  files: { 'var/lib/pgsql/data/a': '', 'var/lib/acme/x/y': '', 'var/flag': '' },
};
const renamed = ['deferred/A/1', 'maildrop/2', 'pid/x'].map((name) => `10 1 /var/spool/postfix/${name}`);
const strange = "/var/lib/$(id) 'x'";
table('step state: services and directories', 'state', {
  'by hand: a known service, and a directory and a file of unknown ones, the largest first': [
    services,
    findings('postgresql 2 /var/lib/pgsql', '/var/lib/acme 1 /var/lib/acme', '/var/flag 1'),
    /set PERSIST_STORE in /,
    proposals(
      ['keep', 'immutafs-agent prepare --apply --only state --move-state /var/lib/pgsql'],
      ['keep', 'immutafs-agent prepare --apply --only state --move-state /var/lib/acme'],
      ['separate', 'immutafs-agent prepare --apply --only state --accept /var/flag'],
    ),
    ({ copyable = [], stateFindings = [] }) => {
      assert.equal(
        copyable.map(({ line }) => line),
        ['immutafs-agent prepare --apply --only state --accept /var/lib/pgsql /var/lib/acme'],
      );
      assert.match(stateFindings[0]?.text ?? '', /would lose all databases and roles/);
    },
  ],
  'by hand: a name with special characters is quoted in the line to paste, and not proposed for PERSIST': [
    {
      found: [`10 1 ${strange}/a`, '10 1 /var/lib/\xc3\xa4/b'],
      files: { [`${strange.slice(1)}/a`]: '' },
    },
    ({ stateFindings }) =>
      assert.equal(
        stateFindings?.filter(({ name }) => name === strange).map(({ persist }) => persist),
        [[]],
      ),
    ({ stateFindings = [] }) => {
      const { command = '' } = stateFindings.find(({ name }) => name === strange) ?? {};
      assert.ok(command.endsWith(` --accept '/var/lib/$(id) '\\''x'\\'''`), command);
    },
  ],
  'by hand: a name that is not UTF-8 is accepted by a line of the file': [
    { found: ["10 1 /var/lib/a\\ '%\xff/b"], files: {} },
    ({ stateFindings: [finding] = [] }) => {
      const { command = '' } = finding ?? {};
      assert.match(command, / >>\/etc\/immutafs\/accepted-writes$/);
      const line = execFileSync('sh', ['-c', command.replace(/ >>.*/, '')], { encoding: 'latin1' });
      assert.is(line, "/var/lib/a\\ '%\xff\n");
    },
  ],
  'by hand: files that are renamed between directories are kept together': [
    { found: renamed, files: { 'var/spool/postfix/deferred/A/1': '' } },
    findings('postfix 2 /var/spool/postfix'),
  ],
  'by hand: a known database outside of /var, although no process is seen': [
    {
      found: ['10 1 /u01/oradata/system01.dbf'],
      changed: ['10 f /u01/oradata/system01.dbf'],
      files: { 'u01/oradata/system01.dbf': '' },
    },
    findings('oracle 1 /u01:autostart'),
  ],
  'by hand: a single file': [{ found: ['10 1 /var/flag'] }],
  'done: a single file that was accepted': [
    { found: ['10 1 /var/flag'], files: { 'etc/immutafs/accepted-writes': '/var/flag\n' } },
  ],
  'by hand: a search that failed': [{ found: [], ended: 'bad' }, /search for state is incomplete/],
  'by hand: a search that timed out': [{ found: [], ended: 'deadline' }, /search for state is incomplete/],
});

state('a guest without state is done, and the package database is not read', async () => {
  const calls: string[][] = [];
  const step = await stepOf({ found: ['10 5 /var/lib/systemd/random-seed', '5 1 /var/log/messages'], calls });
  assert.is(step.state, 'done', step.why.join(' '));
  assert.equal(
    calls.map(([program]) => program),
    ['/usr/bin/find'],
  );
});

for (const [title, text] of [
  ['prepare', (plan) => planText(plan, false)],
  ['check --ready-to-seal', readinessText],
] as const satisfies [string, (plan: Plan) => string][]) {
  state(`${title}: the findings are a table, and each command is a line of its own`, async () => {
    const long = Array.from({ length: 12 }, (_, index) => `/var/lib/a-service-with-a-long-name-${index}/x`);
    const found = [...services.found, ...long.map((file) => `10 1 ${file}`)];
    const files = { ...services.files, ...Object.fromEntries(long.map((file) => [file.slice(1), ''])) };
    const plan = await planOf(guestWith({ found, files }), { steps: ['state'] });
    const [step] = plan.steps;
    const lines = text(plan)
      .split('\n')
      .map((line) => line.trim());
    const table = lines.slice(lines.findIndex((line) => line.startsWith('PATH')));
    const { stateFindings = [], copyable = [] } = step ?? {};
    assert.is(stateFindings.length, 15);
    assert.equal(
      table.slice(1, 1 + 2 * 15).filter((_, index) => index % 2 === 1),
      stateFindings.map(({ command }) => command),
    );
    assert.equal(table[1]?.split(/ {2,}/), ['/var/lib/pgsql', '5.0 KiB', '-', 'keep']);
    const [{ line } = { line: '' }] = copyable;
    assert.ok(line.length > 400 && lines.includes(line), line);
  });
}

/** The package acme, which was installed between 1000 and 900 s ago, as rpm lists it. */
const acme = (...names: string[]) => {
  const paths = names.map((name) => `/var/lib/acme${name}\n`);
  return `=acme ${Math.floor(now - 1000)} ${Math.floor(now - 900)}\n${paths.join('')}`;
};
const inAcme = (ago: number, name: string): Found => ({
  found: [`${ago} 1 /var/lib/acme/${name}`],
  rpm: acme('', '/owned'),
});
table('step state: files of packages', 'state', {
  'done: as in the package': [inAcme(5000, 'owned')],
  'by hand: perhaps written by a scriptlet': [inAcme(850, 'generated')],
  'by hand: changed since the installation': [inAcme(10, 'owned')],
  'by hand: of no package': [
    inAcme(10, 'generated'),
    ({ stateFindings }) => assert.equal(stateFindings?.[0]?.packages, ['acme']),
  ],
  'by hand: restored, older than the package': [inAcme(5000, 'generated')],
});

/** The package cached, which owns a directory of /var/cache and one of /var/log, and a file in each. */
const cached = `=cached ${Math.floor(now - 1000)} ${Math.floor(now - 900)}
${['/var/cache/cached', '/var/cache/cached/owned', '/var/log/cached', '/var/log/cached/owned', ''].join('\n')}`;
const inCache = (record: string, files: Guest['files'] = {}): Found => ({
  found: [record],
  rpm: cached,
  files: { [record.replace(/^[^/]*\//, '')]: 'x', ...files },
});
/** A process that has a file open for writing. */
const opens = (file: string, exe: string): Guest['files'] => ({
  'proc/900/comm': 'program\n',
  'proc/900/exe': { linkTo: exe },
  'proc/900/fd/3': { linkTo: file },
  'proc/900/fdinfo/3': 'flags:\t0100001\n',
});
table('step state: data among caches, logs and backups', 'state', {
  'done: a cache of root in the directory of a package': [inCache('10 1 /var/cache/cached/a')],
  'done: a cache of another user, as in the package': [inCache('5000 1 999 /var/cache/cached/owned')],
  'done: caches of the base system': [
    {
      found: [
        '10 1 42 /var/cache/apt/archives/partial/x',
        '10 1 6 /var/cache/man/index.db',
        '10 1 /var/cache/dnf/a',
      ],
    },
  ],
  'done: what a unit declares as a cache': [
    inCache('10 1 999 /var/cache/vendor/vendor.db', {
      'usr/lib/systemd/system/vendor.service': '[Service]\nCacheDirectory=vendor\n',
    }),
  ],
  'done: logs by their names, and those of rsyslog': [
    {
      ...{
        found: [
          '10 1 999 /var/log/acme/acme.log.1.gz',
          '10 1 999 /var/log/audit/audit.log',
          '10 1 /var/log/messages',
        ],
      },
      rpm: cached,
    },
  ],
  'done: a log that rsyslog has open': [
    inCache('10 1 /var/log/cached/hosts', opens('/var/log/cached/hosts', '/usr/sbin/rsyslogd')),
  ],
  'done: a log that logrotate names': [
    inCache('10 1 999 /var/log/cached/events-20261130.gz', {
      'etc/logrotate.d/cached': '/var/log/cached/events {\n weekly\n}\n',
    }),
  ],
  'done: a log of FORWARD_FILES': [
    inCache('10 1 999 /var/log/cached/events', {
      'etc/immutafs/immutafs.conf': 'FORWARD_FILES=/var/log/cached/*\n',
    }),
  ],
  'done: a log of root': [inCache('10 1 /var/log/tally')],
  'done: copies that Debian makes of its databases': [
    { found: ['10 1 /var/backups/dpkg.status.1.gz', '10 1 /var/backups/passwd.bak'] },
  ],
  'by hand: a database of another user in the directory of a package': [
    inCache('10 1 999 /var/cache/cached/vendor.db'),
    findings('/var/cache/cached 1 /var/cache/cached:autostart'),
  ],
  'by hand: a database that a process of root has open': [
    inCache(
      '10 1 /var/cache/cached/vendor.db',
      opens('/var/cache/cached/vendor.db', '/opt/vendor/bin/vendord'),
    ),
    findings('/var/cache/cached 1 /var/cache/cached:autostart'),
  ],
  'by hand: a directory of root that no package owns': [
    inCache('10 1 /var/cache/vendor/vendor.db'),
    findings('/var/cache/vendor 1 /var/cache/vendor:autostart'),
  ],
  'by hand: a ledger of another user': [inCache('10 1 999 /var/log/ledger'), findings('/var/log/ledger 1')],
  'by hand: a ledger beside logs': [
    {
      ...inCache('10 1 999 /var/log/acme/ledger.db'),
      found: ['10 1 999 /var/log/acme/ledger.db', '10 5 999 /var/log/acme/acme.log'],
    },
    findings('/var/log/acme 1 /var/log/acme'),
  ],
  'by hand: a dump of root': [
    inCache('10 1 /var/backups/pg/dump.sql'),
    findings('/var/backups/pg 1 /var/backups/pg'),
  ],
  'by hand: a primary zone of BIND': [
    inCache('10 1 /var/cache/bind/db.example.com'),
    findings('named 1 /var/cache/bind'),
  ],
});

/** A unit that is enabled. */
const enabled = (unit: string, text = '[Service]\nExecStart=/usr/sbin/x\n'): Guest['files'] => ({
  [`usr/lib/systemd/system/${unit}`]: text,
  [`etc/systemd/system/multi-user.target.wants/${unit}`]: { linkTo: `/usr/lib/systemd/system/${unit}` },
});
const nothing = (files: Guest['files']): Found => ({ found: [], files });
const postfix = { ...enabled('postfix.service'), 'var/spool/postfix/public/x': '' };
const dhcpd = { ...enabled('dhcpd.service'), 'var/lib/dhcpd/x': '' };
const acmeState = '[Service]\nStateDirectory=acme\n';
const sssd =
  '[Unit]\nConditionPathExists=|/etc/sssd/sssd.conf\nConditionDirectoryNotEmpty=|/etc/sssd/conf.d/\n[Service]\nType=notify\n';
table('step state: enabled services that have written nothing', 'state', {
  'by hand: an empty queue': [nothing(postfix), findings('postfix 0 /var/spool/postfix')],
  'by hand: no leases': [
    nothing(dhcpd),
    findings('dhcpd 0 /var/lib/dhcpd'),
    ({ stateFindings: [finding] = [] }) =>
      assert.equal(
        [finding?.units, finding?.lastWrite, finding?.proposal],
        [['dhcpd.service'], null, 'keep'],
      ),
  ],
  'by hand: a database that makes its directory at the first start': [
    nothing(enabled('mariadb.service')),
    findings('mariadb 0'),
    proposals(['start', 'systemctl start mariadb.service']),
  ],
  'by hand: StateDirectory= of a unit that never ran': [
    nothing({ ...enabled('acme.service', acmeState), 'var/lib/acme/.keep': '' }),
    findings('/var/lib/acme 0 /var/lib/acme'),
  ],
  'by hand: StateDirectory= of a dynamic user': [
    nothing({
      ...enabled('acme.service', `${acmeState}DynamicUser=yes\n`),
      'var/lib/private/acme/.keep': '',
    }),
    findings('/var/lib/private/acme 0 /var/lib/private/acme'),
  ],
  'by hand: a service that its socket starts': [
    nothing({ ...enabled('acme.socket', '[Socket]\n'), 'usr/lib/systemd/system/acme.service': acmeState }),
    findings('/var/lib/acme 0'),
    proposals(['start', 'systemctl start acme.service']),
  ],
  'by hand: a service with one of its conditions met': [
    nothing({ ...enabled('sssd.service', sssd), 'etc/sssd/sssd.conf': '', 'var/lib/sss/x': '' }),
    findings('sssd 0 /var/lib/sss:autostart'),
  ],
  'done: a service with none of its conditions met': [
    nothing({ ...enabled('sssd.service', sssd), 'var/lib/sss/x': '' }),
  ],
  'done: the service is not enabled': [
    nothing({ 'usr/lib/systemd/system/dhcpd.service': '[Service]\n', 'var/lib/dhcpd/x': '' }),
  ],
  'done: the unit does not exist any more': [
    nothing({
      'etc/systemd/system/multi-user.target.wants/dhcpd.service': { linkTo: '/nothing' },
      'var/lib/dhcpd/x': '',
    }),
  ],
  'done: the unit is masked': [
    nothing({ ...dhcpd, 'etc/systemd/system/dhcpd.service': { linkTo: '/dev/null' }, 'dev/null': '' }),
  ],
  'done: services in which only users write, and the base system': [
    nothing({
      ...enabled('crond.service'),
      ...enabled('httpd.service'),
      ...enabled('systemd-pstore.service', '[Service]\nStateDirectory=systemd/pstore\n'),
      ...enabled('systemd-timesyncd.service', '[Service]\nStateDirectory=systemd/timesync\n'),
      ...{ 'var/spool/cron/x': '', 'var/www/html/x': '' },
    }),
  ],
  'done: kept': [nothing({ ...dhcpd, [conf]: 'PERSIST=/var/lib/dhcpd\nPERSIST_STORE=/home/store\n' })],
  'done: accepted': [nothing({ ...dhcpd, 'etc/immutafs/accepted-writes': '/var/lib/dhcpd\n' })],
});

table('step state: units and empty files', 'state', {
  'by hand: a crontab is that of cron, although atd names a directory below': [
    {
      found: ['10 1 /var/spool/cron/crontabs/alice'],
      files: {
        'var/spool/cron/crontabs/alice': '',
        'usr/lib/systemd/system/cron.service': '[Service]\nExecStart=/usr/sbin/cron\n',
        'usr/lib/systemd/system/atd.service':
          '[Service]\nExecStartPre=-find /var/spool/cron/atjobs -type f\n',
      },
    },
    ({ stateFindings: [finding] = [] }) =>
      assert.equal([finding?.service, finding?.units], ['cron', ['cron.service']]),
    proposals(['reset', 'immutafs-agent prepare --apply --only state --accept /var/spool/cron']),
  ],
  'by hand: a service in /opt has its data in /var/opt': [
    {
      found: ['10 1 /var/opt/acme/db'],
      files: {
        'var/opt/acme/db': '',
        'etc/systemd/system/acmed.service': '[Service]\nExecStart=/opt/acme/bin/acmed\n',
      },
    },
    ({ stateFindings: [finding] = [] }) => assert.equal(finding?.units, ['acmed.service']),
  ],
  'by hand: a dynamic user': [
    {
      found: ['10 1 /var/lib/private/acme/db'],
      files: {
        'var/lib/private/acme/db': '',
        'etc/systemd/system/acmed.service': `${acmeState}DynamicUser=yes\n`,
      },
    },
    ({ stateFindings: [finding] = [] }) => assert.equal(finding?.units, ['acmed.service']),
  ],
  'by hand: Cyrus': [
    {
      found: ['10 1 /var/spool/imap/user/alice/1.', '10 1 /var/lib/imap/mailboxes.db'],
      files: {
        'usr/lib/systemd/system/cyrus-imapd.service': '',
        'var/spool/imap/x': '',
        'var/lib/imap/x': '',
      },
    },
    findings('cyrus-imap 2 /var/lib/imap /var/spool/imap'),
    ({ stateFindings: [finding] = [] }) => assert.equal(finding?.units, ['cyrus-imapd.service']),
  ],
  'by hand: a mailbox with mail': [{ found: ['10 1 1000 /var/spool/mail/alice'] }],
  'done: an empty mailbox, as useradd makes it': [{ found: ['10 0 1000 /var/spool/mail/alice'] }],
});

const { 'etc/fstab': preparedFstab = '' } = preparedGuest().files as Record<string, string>;
const toData = '/dev/mapper/data /data xfs nosuid,nodev,nofail 0 0\n';
const keeps = (store: string, fstab = '', files: Guest['files'] = {}): Found => ({
  found: [],
  files: {
    [conf]: `PERSIST=/var/lib/acme\nPERSIST_STORE=${store}\n`,
    'etc/fstab': `${preparedFstab}${fstab}`,
    ...files,
  },
});
table('step state: the file system of PERSIST_STORE', 'state', {
  'done: fstab mounts it': [keeps('/data/immutafs', toData)],
  'done: a unit mounts it': [keeps('/data/immu-tafs', '', { 'etc/systemd/system/data.mount': '' })],
  'done: a unit mounts the directory itself': [
    keeps('/data/immu-tafs', '', { 'etc/systemd/system/data-immu\\x2dtafs.mount': '' }),
  ],
  'by hand: nothing mounts it': [
    keeps('/data/immutafs'),
    /No boot would keep \/var\/lib\/acme: \/etc\/fstab mounts no file system/,
  ],
  'by hand: another path is mounted': [keeps('/data2/immutafs', toData), /mounts no file system/],
  'by hand: the line is a comment': [keeps('/data/immutafs', `#${toData}`), /mounts no file system/],
  'by hand: there is no store': [keeps(''), /PERSIST_STORE is empty/],
});

const etcd = (files: Guest['files'], options = 'autostart'): Found => ({
  found: [],
  files: {
    ...enabled('etcd.service'),
    [conf]: `PERSIST=/var/lib/etcd:${options}\nPERSIST_STORE=/home/store\n`,
    ...files,
  },
});
const dropIn = 'etc/systemd/system/etcd.service.d';
table('step state: services that must not start with outdated state', 'state', {
  'needed: a member of a cluster gets a condition': [
    etcd({}),
    /outdated \/var\/lib\/etcd .*rejoin its cluster/,
    [
      'edit /etc/systemd/system/etcd.service.d/immutafs.conf: # A maintenance boot does not mount what PERSIST keeps here, and the directory below is outdated.; [Unit]; ConditionPathIsMountPoint=/var/lib/etcd',
    ],
  ],
  'done: it has the condition': [
    etcd({ [`${dropIn}/own.conf`]: '[Unit]\nConditionPathIsMountPoint=/var/lib/etcd\n' }),
  ],
  'done: maintenance boots mount it, too': [etcd({}, 'autostart,maintenance')],
  'done: the service is not enabled': [
    {
      found: [],
      files: {
        'usr/lib/systemd/system/etcd.service': '[Service]\n',
        [conf]: 'PERSIST=/var/lib/etcd:autostart\nPERSIST_STORE=/home/store\n',
      },
    },
  ],
  'done: a service that may start': [
    {
      found: [],
      files: {
        ...enabled('crond.service'),
        [conf]: 'PERSIST=/var/spool/cron:autostart\nPERSIST_STORE=/home/store\n',
      },
    },
  ],
});

state('a process that has a file open and a unit that names the directory are evidence', async () => {
  const step = await stepOf({
    found: ['5000 7 /var/lib/acme/owned'],
    rpm: acme('/owned'),
    files: {
      'var/lib/acme/owned': 'content',
      'proc/900/comm': 'acmed\n',
      'proc/900/cgroup': '0::/system.slice/acme-worker.service\n',
      'proc/900/fd/3': { linkTo: '/var/lib/acme/owned' },
      'proc/900/fdinfo/3': 'flags:\t0100002\n',
      'etc/systemd/system/acme.service': '[Service]\nStateDirectory=acme\n',
      'etc/systemd/system/other.service': '[Service]\nReadWritePaths=/var/lib\n',
    },
  });
  const { openBy, units, declaredBy, unowned } = step.stateFindings?.[0] ?? {};
  assert.equal(
    { openBy, units, declaredBy, unowned },
    {
      openBy: ['acmed (900)'],
      units: ['acme-worker.service', 'acme.service'],
      declaredBy: ['StateDirectory= of acme.service'],
      unowned: 0,
    },
  );
});

for (const [text, isKept] of [
  ['PERSIST=/var/lib/acme\nPERSIST_STORE=/home/store\n', true],
  ['PERSIST=/var/lib/acme\n', false],
] as const) {
  state(`what PERSIST keeps is ${isKept ? 'not searched' : 'searched without a store'}`, async () => {
    const calls: string[][] = [];
    const step = await stepOf({ found: [], files: { [conf]: text }, calls });
    assert.is(calls[0]?.includes('/var/lib/acme'), isKept);
    assert.is(step.why.join(' ').includes('Kept: /var/lib/acme'), isKept);
  });
}

for (const [text, isReset] of [
  ['OVERLAY=/etc', true],
  ['SEED=host', false],
  ['OVERLAY=/etc\nSEED=host', false],
] as const) {
  state(
    `${text.replace('\n', ', ')}: a sealed boot ${isReset ? 'resets' : 'does not reset'} /etc`,
    async () => {
      const calls: string[][] = [];
      const files = { [conf]: `${text}\n`, 'etc/acme/state': '' };
      const step = await stepOf({ found: ['10 1 /etc/acme/state'], files, calls });
      assert.equal(calls[0]?.slice(1, 3).includes('/etc'), isReset);
      assert.is(step.state, isReset ? 'by hand' : 'done', step.why.join(' '));
    },
  );
}

state('the paths of OVERLAY are searched, and their state is not to be kept by an overlay', async () => {
  const calls: string[][] = [];
  const files = { [conf]: 'OVERLAY=/opt/acme\n', 'opt/acme/db/1': '' };
  const step = await stepOf({ found: ['10 1 /opt/acme/db/1'], files, calls });
  assert.equal(calls[0]?.slice(1, 3), ['/var', '/opt/acme']);
  findings('/opt/acme 1 /opt/acme:autostart')(step);
  assert.match(step.why.join(' '), /remove \/opt\/acme from OVERLAY/);
});

const inOpt = (files: Guest['files'], text = ''): Found => ({
  ...{ found: ['10 1 /opt/agent/state'], changed: ['10 f /opt/agent/state'] },
  files: { ...files, [conf]: text },
});
const inAgent = findings('/opt/agent 1 /opt/agent:autostart');
table('step state: a changed directory in /opt', 'state', {
  'by hand: a program runs from it': [inOpt(runs('/opt/agent/bin')), inAgent],
  'by hand: a script runs from it': [
    inOpt(runs('/usr/bin/python3.11', 'python3 -u /opt/agent/bin')),
    inAgent,
  ],
  'done: nothing runs from it': [inOpt(agent)],
  'done: a program of another directory runs': [inOpt(runs('/opt/agent2/bin'))],
  'done: an editor shows a file of it': [inOpt(runs('/usr/bin/vi', 'vi /opt/agent/state'))],
  'done: it is kept': [inOpt(openState, 'PERSIST=/opt/agent:autostart\nPERSIST_STORE=/home/store\n')],
});

state('an accepted directory in /opt is decided', async () => {
  const settings = { acceptPaths: ['/opt/agent'] };
  const step = await planned(guestWith(inOpt(openState)), 'state', { settings });
  assert.is(step.state, 'done', step.why.join(' '));
});

state('a directory in /opt in which a process has a file open is to be kept or reset', async () => {
  const calls: string[][] = [];
  const step = await stepOf({ found: ['10 1 /opt/agent/state'], files: openState, calls });
  assert.equal([step.state, step.actions], ['by hand', []], 'nothing is added to OVERLAY');
  const [search] = calls.filter(([program]) => program === '/usr/bin/find');
  assert.equal(search?.slice(1, 3), ['/var', '/opt/agent']);
  inAgent(step);
  const [{ text, command } = { text: '', command: '' }] = step.stateFindings ?? [];
  assert.match(text, /open for writing by agentd \(900\).*A sealed boot cannot write here/);
  assert.match(command, /--move-state \/opt\/agent:autostart$/);
  assert.match(step.why.join('\n'), /also set OVERLAY=\/opt\/agent\. /);
  assert.match(step.copyable?.[0]?.line ?? '', /--only state writes --accept \/opt\/agent$/);
});

state('an accepted path is recorded with time and user, and undone', () =>
  withBox(
    guestWith({
      found: ['10 1 /var/lib/acme/x'],
      files: {
        'var/lib/acme/x': '',
        'proc/self/loginuid': '1000',
        'etc/passwd': 'root:x:0:0::/:\nalice:x:1000:1000::/:\n',
      },
    }),
    async ({ prepare, actionLog }) => {
      const only = ['state' as const];
      assert.is((await prepare({ only })).code, 1);
      await prepare({ only, accept: ['/var/lib/acme/'], apply: true, yes: true });
      const [{ action } = { action: undefined }] = actionLog();
      assert.match(
        action?.do === 'edit' ? action.after : '',
        /# 2026-03-04T05:06:07\.089Z, alice:\n\/var\/lib\/acme\n$/,
      );
      assert.is((await prepare({ undo: true })).code, 0);
      assert.is((await prepare({ only })).code, 1);
    },
  ),
);

state('a path that does not exist is an error about this path, and nothing else', () =>
  withBox(
    guestWith({
      found: ['10 1 /var/lib/acme/x'],
      files: { 'var/lib/acme/x': '', 'usr/lib/systemd/system/b.service': '[Service]\nStateDirectory=b\n' },
    }),
    async ({ prepare, actionLog }) => {
      const wrong: [Partial<PrepareOptions>, string][] = [
        [{ accept: ['/var/lib/acm'] }, '--accept /var/lib/acm: there is no such file or directory'],
        [{ accept: ['/opt/no'] }, '--accept /opt/no: there is no such file or directory'],
        [{ moveState: ['/var/lib/acm'] }, '--move-state /var/lib/acm: there is no such directory'],
        [{ moveState: ['/var/lib/acme/x:exec'] }, '--move-state /var/lib/acme/x: not a directory'],
      ];
      for (const [options, expected] of wrong) {
        const error = await errorOf(prepare({ ...options, apply: true, yes: true }));
        assert.equal([error.name, error.message], ['UsageError', expected]);
      }
      // A service makes these directories when it starts: a unit, or a row of the table names them.
      await prepare({ only: ['state'], accept: ['/var/lib/b', '/var/lib/mysql'], apply: true, yes: true });
      assert.is(actionLog().length, 1);
    },
  ),
);

state('--accept needs the step that searches the path', () =>
  withBox(guestWith({ found: [] }), async ({ prepare }) => {
    for (const [only, path] of [
      ['writes', '/var/lib/x'],
      ['state', '/opt/x'],
    ] as const) {
      const error = await errorOf(prepare({ only: [only], accept: [path], apply: true, yes: true }));
      assert.match(String(error), /needs the step/);
    }
  }),
);
state.run();
