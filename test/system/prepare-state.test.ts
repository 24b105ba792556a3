/** Tests `prepare --only state` in a small system with a real disk, a real package database, processes and units. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Step } from '../../agent/prepare/engine/step.ts';
import { inSmallSystem } from '../harness/small-system.ts';

const state = suite('prepare --only state');

/**
 * Runs a script in the system. `state` runs the step, and `json` prints its plan. The package `acme`, which is installed
 * before the script, owns /var/lib/acme/owned.
 */
function stepsOf(script: string): Step[] {
  const { stdout, stderr, code } = inSmallSystem(
    `mkdir -p root var/tmp var/lib/rpm var/cache var/log mnt
    cat >/run/spec <<'SPEC'
Name: acme
Version: 1
Release: 1
Summary: x
License: x
BuildArch: noarch
%description
%install
mkdir -p %{buildroot}/var/lib/acme
echo x >%{buildroot}/var/lib/acme/owned
%files
/var/lib/acme
SPEC
    HOME=/run rpmbuild -bb --define '_topdir /run/rpm' --define '_rpmdir /run' /run/spec >/run/build 2>&1 || cat /run/build
    state() { agent prepare --only state "$@"; }
    json() { state --json | tr -s '\\n ' '  ' || :; echo; }
    rpm --install --nodeps --nosignature /run/noarch/acme-1-1.noarch.rpm
${script}`,
  );
  if (code !== 0) throw new Error(`${code}: ${stdout}${stderr}`);
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{ "schema"'))
    .map((line) => (JSON.parse(line) as { steps: [Step] }).steps[0]);
}

const shortOf = ({ state: decided, stateFindings = [] }: Step) => [
  decided,
  ...stateFindings.map(({ service, name, files }) => `${service ?? name} ${files}`),
];

state('what a package owns is state only while a process has it open; caches and logs are none', () => {
  const steps = stepsOf(`
    mkdir -p run/systemd/system
    printf '[Service]\\nStateDirectory=acme\\n' >run/systemd/system/acme.service
    echo x >var/cache/x; echo x >var/log/messages; json
    sleep 60 >>var/lib/acme/owned & pid=$!; sleep 1; json; kill $pid; wait $pid || :; json`);
  assert.equal(steps.map(shortOf), [['done'], ['by hand', '/var/lib/acme 1'], ['done']]);
  const [finding] = steps[1]?.stateFindings ?? [];
  assert.match(finding?.openBy.join() ?? '', /^sleep \(\d+\)$/);
  assert.equal([finding?.units, finding?.packages], [['acme.service'], ['acme']]);
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
    json
    ${write.join('\n')}
    json`);
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
