/** A plan of all steps reads what several steps need only once: each reading takes seconds on a busy guest. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Plan } from '../../../agent/prepare/engine/plan.ts';
import type { Step, StepId } from '../../../agent/prepare/engine/step.ts';
import type { SystemReader } from '../../../agent/system/reader.ts';
import type { Guest } from '../../harness/guest.ts';
import { preparedGuest } from '../../harness/ordinary-guest.ts';
import { planOf } from '../../harness/planned.ts';
import { now, openState, record, runs } from '../../harness/search-fixture.ts';

const installed = Math.floor(now - 500);
/** A package with a program in /opt and a file in /var, which are as it installed them. */
const rpm = `=agent ${installed} ${installed}\n/opt/agent/bin\n/var/lib/agent/table\n`;
const searches = {
  changes: record('10 f /opt/agent/state') + record('10 f /etc/agent.conf'),
  state: [
    '1000 5 0 /opt/agent/bin',
    '10 5 0 /opt/agent/state',
    '1000 5 0 /var/lib/agent/table',
    '10 5 0 /var/lib/other/x',
  ]
    .map(record)
    .join(''),
  layer: '0:0 2190 /var/lib/copy\0/var/lib/copied\0' + '0:0 89ed /var/lib/agent/helper\0',
};

/** What was read: "rpm", "find ROOT…", "silent FILE", "list DIRECTORY". */
interface Planned {
  plan: Plan;
  read: string[];
}

async function planAll(steps?: readonly StepId[], database = rpm): Promise<Planned> {
  const guest: Guest = preparedGuest();
  guest.directories.push('opt');
  Object.assign(guest.files, openState, runs('/opt/agent/bin'), { 'usr/bin/rpm': '' });
  const read: string[] = [];
  guest.answers.run = (program, args) => {
    if (program === '/usr/bin/rpm') read.push('rpm');
    if (program === '/usr/bin/rpm') return { stdout: database, ended: 'good' };
    if (program !== '/usr/bin/find') return undefined;
    read.push(`find ${args.slice(0, args.indexOf('-ignore_readdir_race')).join(' ')}`);
    const isOf = (word: string) => args.some((each) => each.includes(word));
    const stdout = isOf('-newerct')
      ? searches.changes
      : isOf('%U')
        ? searches.state
        : isOf('trusted.overlay')
          ? searches.layer
          : '';
    return { stdout, ended: 'good' };
  };
  const as = (reader: SystemReader): SystemReader => ({
    ...reader,
    list: (directory) => {
      read.push(`list ${directory}`);
      return reader.list(directory);
    },
    processes: {
      ...reader.processes,
      silent: (_, file) => {
        read.push(`silent ${file}`);
        return Promise.resolve(new Map());
      },
    },
  });
  return { plan: await planOf(guest, { as, ...(steps === undefined ? {} : { steps }) }), read };
}

const once = suite('a plan reads once');

once('the package database, the processes and their open files', async () => {
  const { read } = await planAll();
  const count = (what: string) => read.filter((each) => each === what).length;
  const counts = Object.fromEntries(
    ['rpm', 'silent maps', 'silent cmdline', 'list /proc/900/fd'].map((what) => [what, count(what)]),
  );
  assert.equal(counts, { rpm: 1, 'silent maps': 1, 'silent cmdline': 1, 'list /proc/900/fd': 1 });
});

once('/var for the steps var and exec; the step state does not enter most of it', async () => {
  const { read } = await planAll();
  const searched = read.filter((each) => each.startsWith('find '));
  assert.equal(
    searched.filter((each) => each.split(' ').includes('/var')),
    ['find /var /opt/agent', 'find /var'],
  );
});

once('only what a chosen step needs', async () => {
  const { read } = await planAll(['tmp', 'mtab', 'fstab']);
  assert.equal(
    read.filter((each) => /^(find|rpm|silent|list \/proc)/.test(each)),
    [],
  );
});

const step = ({ steps }: Plan, id: StepId): Step | undefined => steps.find((each) => each.id === id);

once('the owners of files are known in /var and where a program turns out to keep state', async () => {
  const { plan } = await planAll();
  const found = step(plan, 'state')?.stateFindings?.map(
    ({ name, files, unowned, changed }) => `${name}: ${files} ${unowned} ${changed}`,
  );
  // /var/lib/agent is as its package installed it.
  assert.equal(found?.toSorted(), ['/opt/agent: 2 1 0', '/var/lib/other: 1 1 0']);
});

once('the twin: what no package owns is reported', async () => {
  const { plan } = await planAll(undefined, `=other ${installed} ${installed}\n/usr/bin/other\n`);
  const found = step(plan, 'state')?.stateFindings?.map(
    ({ name, files, unowned, changed }) => `${name}: ${files} ${unowned} ${changed}`,
  );
  assert.equal(found?.toSorted(), ['/opt/agent: 2 2 0', '/var/lib/agent: 1 1 0', '/var/lib/other: 1 1 0']);
});

once('one walk finds what overlays hide, and what mount options break', async () => {
  const { plan } = await planAll();
  assert.match(
    step(plan, 'var')?.why.join(' ') ?? '',
    /\/var\/lib\/copy: character.*\/var\/lib\/copied: trusted/,
  );
  const conflicts = step(plan, 'exec')?.exec?.conflicts.map(({ option, file }) => `${option} ${file}`);
  assert.ok(conflicts?.includes('nosuid /var/lib/agent/helper'), conflicts?.join());
  assert.not.ok(conflicts?.some((each) => each.includes('/var/lib/copy')));
});

once.run();
