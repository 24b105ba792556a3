/** Tests `prepare --only state` in a small system with a real disk, a real package database, processes and units. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Step } from '../../agent/prepare/engine/step.ts';
import { buildPackage, plansOf } from '../harness/small-system.ts';

const state = suite('prepare --only state');

/** Runs a script in a system with the package `acme`, which owns /var/lib/acme/owned. */
const stepsOf = (script: string) =>
  plansOf(`mkdir -p root var/tmp var/lib/rpm var/cache var/log mnt
    ${buildPackage('acme', ['/var/lib/acme/owned'], ['/var/lib/acme'])}
    rpm --install --nodeps --nosignature /run/noarch/acme-1-1.noarch.rpm
${script}`).steps;

const shortOf = ({ state: decided, stateFindings = [] }: Step) => [
  decided,
  ...stateFindings.map(({ service, name, files }) => `${service ?? name} ${files}`),
];

state('what a package owns is state only while a process has it open; caches and logs are none', () => {
  const steps = stepsOf(`
    mkdir -p run/systemd/system
    printf '[Service]\\nStateDirectory=acme\\n' >run/systemd/system/acme.service
    echo x >var/cache/x; echo x >var/log/messages; json state
    sleep 60 >>var/lib/acme/owned & pid=$!; sleep 1; json state; kill $pid; wait $pid || :; json state`);
  assert.equal(steps.map(shortOf), [['done'], ['by hand', '/var/lib/acme 1'], ['done']]);
  const [finding] = steps[1]?.stateFindings ?? [];
  assert.match(finding?.openBy.join() ?? '', /^sleep \(\d+\)$/);
  assert.equal([finding?.units, finding?.packages], [['acme.service'], ['acme']]);
});

state(
  'data of a user among caches, logs and backups is state, and caches and logs beside it are none',
  () => {
    const steps = stepsOf(`
    mkdir -p var/cache/vendor var/cache/man var/log/acme var/backups/pg etc/logrotate.d
    echo '/var/log/acme/events { weekly }' | tr ' ' '\\n' >etc/logrotate.d/acme
    echo x >var/backups/dpkg.status.0
    for file in var/cache/man/index.db var/log/acme/acme.log.1 var/log/acme/events-20261130; do
      echo x >$file; chown 999 $file; done
    json state
    for file in var/cache/vendor/vendor.db var/log/acme/ledger; do echo x >$file; chown 999 $file; done
    echo x >var/backups/pg/dump.sql
    json state
    rm -r var/log/acme/ledger var/cache/vendor var/backups/pg
    : >var/log/atop_20261130
    sleep 60 >>var/log/atop_20261130 & pid=$!; sleep 1; json state; kill $pid; wait $pid || :; json state`);
    assert.equal(
      steps.map((step) => shortOf(step).toSorted()),
      [
        ['done'],
        ['/var/backups/pg 1', '/var/cache/vendor 1', '/var/log/acme 1', 'by hand'],
        ['/var/log/atop_20261130 1', 'by hand'],
        ['done'],
      ],
    );
  },
);

state('an accepted directory is not searched, whatever bytes its name has', () => {
  const { steps } = plansOf(`mkdir -p root var/tmp var/lib/rpm var/cache var/log mnt
    for name in plain donn\u00e9es "$(printf 'x\\377y')"; do mkdir -p "var/lib/$name"; echo x >"var/lib/$name/file"; done
    json state
    mkdir -p etc/immutafs; printf '/var/lib/x\\377y\\n' >>etc/immutafs/accepted-writes
    agent prepare --apply --yes --only state --accept /var/lib/plain /var/lib/donn\u00e9es
    json state`);
  assert.equal(steps.map(shortOf), [
    ['by hand', '/var/lib/données 1', '/var/lib/plain 1', '/var/lib/x\\xffy 1'],
    ['done'],
  ]);
});

/**
 * Services of Debian that the table does not have: the list of the package (var/lib/dpkg/info), the directory that is there
 * once it is installed, and what the service writes below it.
 */
const unknown = [
  [
    'radicale',
    '/var /var/lib /var/lib/radicale /var/lib/radicale/collections',
    '/var/lib/radicale/collections',
    'collection-root/alice/calendar/1.ics',
  ],
  ['mlmmj', '/usr/bin/mlmmj-send', '/var/spool/mlmmj', 'list/subscribers.d/a'],
  ['vnstat', '/var /var/lib /var/lib/vnstat', '/var/lib/vnstat', 'vnstat.db'],
] as const;

state(
  'an unknown service of Debian has nothing to keep once it is installed, and then what it writes',
  () => {
    const install = unknown.map(
      ([name, list, directory]) =>
        `printf '%s\\n' ${list} >var/lib/dpkg/info/${name}.list; mkdir -p .${directory}`,
    );
    const write = unknown.map(
      ([, , directory, file]) => `file=.${directory}/${file}; mkdir -p "\${file%/*}"; echo x >"$file"`,
    );
    const [untouched, written] =
      stepsOf(`rm -r var/lib/acme var/lib/rpm; mkdir -p var/lib/dpkg/info run/systemd/system
    printf '[Service]\\nReadWritePaths=/var/lib/radicale/ /var/cache/radicale/\\n' >run/systemd/system/radicale.service
    ${install.join('\n')}
    json state
    ${write.join('\n')}
    json state`);
    assert.equal(untouched?.state, 'done');
    assert.equal(
      written?.stateFindings?.map(({ name, units, packages }) => [name, units[0], packages[0]]).toSorted(),
      [
        ['/var/lib/radicale', 'radicale.service', 'radicale'],
        ['/var/lib/vnstat', undefined, 'vnstat'],
        ['/var/spool/mlmmj', undefined, undefined],
      ],
    );
  },
);
state.run();
