import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Settings, Step } from '../../../../agent/prepare/engine/step.ts';
import type { Guest } from '../../../harness/guest.ts';
import { preparedGuest } from '../../../harness/ordinary-guest.ts';
import { planned } from '../../../harness/planned.ts';
import { withBox } from '../../../harness/prepare-box.ts';
import { agent, now, openState, record, runs } from '../../../harness/search-fixture.ts';

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

const stepOf = (found: Found, settings: Partial<Settings> = {}): Promise<Step> =>
  planned(guestWith(found), 'state', { settings });
const short = ({ stateFindings = [] }: Step) =>
  stateFindings.map(({ service, name, files, persist }) => [service ?? name, files, persist]);

state('a guest without state is done, and the package database is not read', async () => {
  const calls: string[][] = [];
  const step = await stepOf({ found: ['10 5 /var/lib/systemd/random-seed', '5 1 /var/log/messages'], calls });
  assert.is(step.state, 'done', step.why.join(' '));
  assert.equal(
    calls.map(([program]) => program),
    ['/usr/bin/find'],
  );
});

state('a known service, and a directory of an unknown one, are named, the largest first', async () => {
  const step = await stepOf({
    found: [
      '10 5000 /var/lib/pgsql/data/a',
      '10 100 /var/lib/pgsql/data/b',
      '10 9 /var/lib/acme/x/y',
      '10 1 /var/flag',
    ],
    files: { 'var/lib/pgsql/data/a': '', 'var/lib/acme/x/y': '', 'var/flag': '' },
  });
  assert.is(step.state, 'by hand');
  assert.equal(short(step), [
    ['postgresql', 2, ['/var/lib/pgsql']],
    ['/var/lib/acme', 1, ['/var/lib/acme']],
    ['/var/flag', 1, []],
  ]);
  const text = step.why.join('\n');
  assert.match(text, /would lose all databases and roles/);
  assert.match(
    text,
    /set PERSIST_STORE in .*, and then: .* --move-state \/var\/lib\/pgsql \/var\/lib\/acme;/,
  );
  assert.match(text, /--accept \/var\/lib\/pgsql \/var\/lib\/acme \/var\/flag/);
});

state(
  'a name with special characters is quoted in the line to paste, and not proposed for PERSIST',
  async () => {
    const name = "/var/lib/$(id) 'x'";
    const step = await stepOf({
      found: [`10 1 ${name}/a`, '10 1 /var/lib/\xc3\xa4/b'],
      files: { [`${name.slice(1)}/a`]: '' },
    });
    const [strange] = step.stateFindings?.filter(({ name: each }) => each === name) ?? [];
    assert.equal(strange?.persist, []);
    const line = step.why.find((text) => text.includes('--accept')) ?? '';
    assert.ok(line.includes(`'/var/lib/$(id) '\\''x'\\'''`), line);
  },
);

state('files of packages are no state; what changed since, and files of no package, are', async () => {
  const rpm = `=acme ${now - 1000} ${now - 900}\n/var/lib/acme\n/var/lib/acme/owned\n`.replaceAll(
    /\.\d+/g,
    '',
  );
  const found = (ago: number, name: string) => [`${ago} 1 /var/lib/acme/${name}`];
  const stateOf = async (ago: number, name: string) => (await stepOf({ found: found(ago, name), rpm })).state;
  assert.is(await stateOf(5000, 'owned'), 'done', 'as in the package');
  assert.is(await stateOf(850, 'generated'), 'by hand', 'perhaps written by a scriptlet');
  assert.is(await stateOf(10, 'owned'), 'by hand', 'changed since the installation');
  assert.is(await stateOf(10, 'generated'), 'by hand');
  assert.is(await stateOf(5000, 'generated'), 'by hand', 'restored, older than the package');
  const step = await stepOf({ found: found(10, 'x'), rpm });
  assert.equal(step.stateFindings?.[0]?.packages, ['acme']);
});

state('a process that has a file open and a unit that names the directory are evidence', async () => {
  const rpm = `=acme ${now - 1000} ${now - 900}\n/var/lib/acme/owned\n`.replaceAll(/\.\d+/g, '');
  const step = await stepOf({
    found: ['5000 7 /var/lib/acme/owned'],
    rpm,
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
  const [finding] = step.stateFindings ?? [];
  assert.equal(finding?.openBy, ['acmed (900)']);
  assert.equal(finding?.units, ['acme-worker.service', 'acme.service']);
  assert.equal(finding?.declaredBy, ['StateDirectory= of acme.service']);
  assert.is(finding?.unowned, 0);
});

const stored = 'PERSIST_STORE=/home/store\n';

state('what PERSIST keeps is not searched; without a store, it is', async () => {
  for (const [conf, isKept] of [
    [`PERSIST=/var/lib/acme\n${stored}`, true],
    ['PERSIST=/var/lib/acme\n', false],
  ] as const) {
    const calls: string[][] = [];
    const step = await stepOf({ found: [], files: { 'etc/immutafs/immutafs.conf': conf }, calls });
    assert.is(calls[0]?.includes('/var/lib/acme'), isKept, conf);
    if (isKept) assert.match(step.why.join(' '), /Kept: \/var\/lib\/acme/);
  }
});

state('the paths of OVERLAY are searched, and their state is not to be kept by an overlay', async () => {
  const calls: string[][] = [];
  const step = await stepOf({
    found: ['10 1 /opt/acme/db/1'],
    files: { 'etc/immutafs/immutafs.conf': 'OVERLAY=/opt/acme\n', 'opt/acme/db/1': '' },
    calls,
  });
  assert.equal(calls[0]?.slice(1, 3), ['/var', '/opt/acme']);
  assert.equal(short(step), [['/opt/acme', 1, ['/opt/acme:autostart']]]);
  assert.match(step.why.join(' '), /remove \/opt\/acme from OVERLAY/);
});

for (const [conf, isReset] of [
  ['OVERLAY=/etc', true],
  ['SEED=host', false],
  ['OVERLAY=/etc\nSEED=host', false],
] as const) {
  state(
    `${conf.replace('\n', ', ')}: a sealed boot ${isReset ? 'resets' : 'does not reset'} /etc`,
    async () => {
      const calls: string[][] = [];
      const files = { 'etc/immutafs/immutafs.conf': `${conf}\n`, 'etc/acme/state': '' };
      const step = await stepOf({ found: ['10 1 /etc/acme/state'], files, calls });
      assert.equal(calls[0]?.slice(1, 3).includes('/etc'), isReset);
      assert.is(step.state, isReset ? 'by hand' : 'done', step.why.join(' '));
    },
  );
}

const changedState = { found: ['10 1 /opt/agent/state'], changed: ['10 f /opt/agent/state'] };

state('a directory in /opt in which a process has a file open is to be kept or reset', async () => {
  const calls: string[][] = [];
  const step = await stepOf({ found: ['10 1 /opt/agent/state'], files: openState, calls });
  assert.is(step.state, 'by hand');
  assert.equal(step.actions, [], 'nothing is added to OVERLAY');
  const [search] = calls.filter(([program]) => program === '/usr/bin/find');
  assert.equal(search?.slice(1, 3), ['/var', '/opt/agent']);
  assert.equal(short(step), [['/opt/agent', 1, ['/opt/agent:autostart']]]);
  const text = step.why.join('\n');
  assert.match(text, /open for writing by agentd \(900\).*A sealed boot cannot write here/);
  assert.match(text, /--move-state \/opt\/agent:autostart;/);
  assert.match(text, /also set OVERLAY=\/opt\/agent\. .*\n.*--only state writes --accept \/opt\/agent$/m);
});

for (const [title, files] of [
  ['program', runs('/opt/agent/bin')],
  ['script', runs('/usr/bin/python3.11', 'python3 -u /opt/agent/bin')],
] as const) {
  state(`a changed directory from which a ${title} runs is to be kept or reset`, async () => {
    assert.equal(short(await stepOf({ ...changedState, files })), [
      ['/opt/agent', 1, ['/opt/agent:autostart']],
    ]);
  });
}

for (const [title, files, conf = ''] of [
  ['nothing runs from it', agent],
  ['a program of another directory runs', runs('/opt/agent2/bin')],
  ['an editor shows a file of it', runs('/usr/bin/vi', 'vi /opt/agent/state')],
  ['it is kept', openState, 'PERSIST=/opt/agent:autostart\nPERSIST_STORE=/home/store\n'],
] as const) {
  state(`a changed directory in /opt is no state if ${title}`, async () => {
    const step = await stepOf({ ...changedState, files: { ...files, 'etc/immutafs/immutafs.conf': conf } });
    assert.is(step.state, 'done', step.why.join(' '));
  });
}

state('an accepted directory in /opt is decided', async () => {
  const step = await stepOf({ ...changedState, files: openState }, { acceptPaths: ['/opt/agent'] });
  assert.is(step.state, 'done', step.why.join(' '));
});

state('a known database outside of /var is named although no process is seen', async () => {
  const step = await stepOf({
    found: ['10 1 /u01/oradata/system01.dbf'],
    changed: ['10 f /u01/oradata/system01.dbf'],
    files: { 'u01/oradata/system01.dbf': '' },
  });
  assert.equal(short(step), [['oracle', 1, ['/u01:autostart']]]);
  assert.match(step.why.join(' '), /--move-state \/u01:autostart/);
});

state('files that are renamed between directories are kept together', async () => {
  const step = await stepOf({
    found: [
      '10 1 /var/spool/postfix/deferred/A/1',
      '10 1 /var/spool/postfix/maildrop/2',
      '10 1 /var/spool/postfix/pid/x',
    ],
    files: { 'var/spool/postfix/deferred/A/1': '' },
  });
  assert.equal(short(step), [['postfix', 2, ['/var/spool/postfix']]]);
});

for (const ended of ['bad', 'deadline'] as const) {
  state(`a search that ended ${ended} is never done`, async () => {
    const step = await stepOf({ found: [], ended });
    assert.is(step.state, 'by hand');
    assert.match(step.why.join(' '), /search for state is incomplete/);
  });
}

state('an accepted path is recorded with time and user, and undone', () =>
  withBox(
    guestWith({
      found: ['10 1 /var/lib/acme/x'],
      files: { 'proc/self/loginuid': '1000', 'etc/passwd': 'root:x:0:0::/:\nalice:x:1000:1000::/:\n' },
    }),
    async ({ prepare, root, actionLog }) => {
      const only = ['state' as const];
      const text = () => actionLog().map(({ action }) => (action.do === 'edit' ? action.after : ''));
      assert.is((await prepare({ only })).code, 1);
      await prepare({ only, accept: ['/var/lib/acme/'], apply: true, yes: true });
      assert.match(text()[0] ?? '', /# 2026-03-04T05:06:07\.089Z, alice:\n\/var\/lib\/acme\n$/);
      assert.ok(root !== '');
      assert.is((await prepare({ undo: true })).code, 0);
      assert.is((await prepare({ only })).code, 1);
    },
  ),
);

state('a single file that was accepted is not named again', async () => {
  const found = ['10 1 /var/flag'];
  assert.is((await stepOf({ found })).state, 'by hand');
  const files = { 'etc/immutafs/accepted-writes': '/var/flag\n' };
  assert.is((await stepOf({ found, files })).state, 'done');
});

state('--accept needs the step that searches the path', () =>
  withBox(guestWith({ found: [] }), async ({ prepare }) => {
    for (const [only, path] of [
      ['writes', '/var/lib/x'],
      ['state', '/opt/x'],
    ] as const) {
      try {
        await prepare({ only: [only], accept: [path], apply: true, yes: true });
        assert.unreachable();
      } catch (error) {
        assert.match(String(error), /needs the step/);
      }
    }
  }),
);
state.run();
