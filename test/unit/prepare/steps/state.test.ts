import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Step } from '../../../../agent/prepare/engine/step.ts';
import type { Guest } from '../../../harness/guest.ts';
import { preparedGuest } from '../../../harness/ordinary-guest.ts';
import { planned } from '../../../harness/planned.ts';
import { errorOf } from '../../../harness/rejection.ts';
import { withBox } from '../../../harness/prepare-box.ts';
import { agent, now, openState, record, runs } from '../../../harness/search-fixture.ts';
import { tableOf } from '../../../harness/step-table.ts';

const state = suite('step state');

interface Found {
  /** "SECONDS-AGO BYTES PATH" */
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
      return { stdout: records(found.filter((each) => isSearched(args, each))), ended };
    return program === '/usr/bin/rpm' ? { stdout: rpm, ended: 'good' } : undefined;
  };
  return guest;
}

/** Whether find searches a file. A directory that is not searched stands before `-prune`. */
function isSearched(args: readonly string[], found: string): boolean {
  const [, path = ''] = /^\S+ \S+ (.*)$/s.exec(found) ?? [];
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
    ...[
      /would lose all databases and roles/,
      /set PERSIST_STORE in .*, and then: .* --move-state \/var\/lib\/pgsql \/var\/lib\/acme;/,
    ],
    /--accept \/var\/lib\/pgsql \/var\/lib\/acme \/var\/flag/,
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
    ({ why }) => {
      const line = why.find((text) => text.includes('--accept')) ?? '';
      assert.ok(line.includes(`'/var/lib/$(id) '\\''x'\\'''`), line);
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
    ...[findings('oracle 1 /u01:autostart'), /--move-state \/u01:autostart/],
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
  const text = step.why.join('\n');
  assert.match(text, /open for writing by agentd \(900\).*A sealed boot cannot write here/);
  assert.match(text, /--move-state \/opt\/agent:autostart;/);
  assert.match(text, /also set OVERLAY=\/opt\/agent\. .*\n.*--only state writes --accept \/opt\/agent$/m);
});

state('an accepted path is recorded with time and user, and undone', () =>
  withBox(
    guestWith({
      found: ['10 1 /var/lib/acme/x'],
      files: { 'proc/self/loginuid': '1000', 'etc/passwd': 'root:x:0:0::/:\nalice:x:1000:1000::/:\n' },
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
