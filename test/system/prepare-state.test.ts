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

state('caches, logs and files of packages are no state', () => {
  const steps = stepsOf('json; echo x >var/cache/x; echo x >var/log/messages; json');
  assert.equal(steps.map(shortOf), [['done'], ['done']]);
});

state(
  'a file that a process has open, although its package owns it, and a unit that names the directory',
  () => {
    const [before, open, after] = stepsOf(`
    mkdir -p run/systemd/system
    printf '[Service]\\nStateDirectory=acme\\n' >run/systemd/system/acme.service
    json; sleep 60 >>var/lib/acme/owned & pid=$!; sleep 1; json; kill $pid; wait $pid || :; json`);
    assert.equal(shortOf(before as Step), ['done']);
    assert.equal(shortOf(open as Step), ['by hand', '/var/lib/acme 1']);
    const [finding] = open?.stateFindings ?? [];
    assert.match(finding?.openBy.join() ?? '', /^sleep \(\d+\)$/);
    assert.equal([finding?.units, finding?.packages], [['acme.service'], ['acme']]);
    assert.equal(shortOf(after as Step), ['done']);
  },
);

state(
  'state of known and unknown services is named until it is accepted or moved; --undo names it again',
  () => {
    const steps = stepsOf(`
    mkdir -p var/lib/pgsql/data; echo row >var/lib/pgsql/data/1; echo x >var/lib/acme/new
    json; state --apply --yes --accept /var/lib/pgsql >/dev/null || :; json
    state --apply --yes --accept /var/lib/acme >/dev/null; json
    agent prepare --undo >/dev/null; json`);
    const both = ['by hand', '/var/lib/acme 2', 'postgresql 1'];
    assert.equal(
      steps.map((step) => shortOf(step).toSorted()),
      [both.toSorted(), ['/var/lib/acme 2', 'by hand'], ['done'], both.toSorted()],
    );
  },
);
/**
 * Services of Debian that the table does not have: the lists of their packages (var/lib/dpkg/info), the unit of one, and
 * what each of them writes. `untouched` is there once the package is installed.
 */
const unknown = {
  radicale: {
    list: '/var /var/lib /var/lib/radicale /var/lib/radicale/collections',
    untouched: '/var/lib/radicale/collections',
    writes: '/var/lib/radicale/collections/collection-root/alice/calendar/1.ics',
  },
  mlmmj: {
    list: '/usr/bin/mlmmj-send',
    untouched: '/var/spool/mlmmj',
    writes: '/var/spool/mlmmj/list/subscribers.d/a',
  },
  vnstat: {
    list: '/var /var/lib /var/lib/vnstat',
    untouched: '/var/lib/vnstat',
    writes: '/var/lib/vnstat/vnstat.db',
  },
};

state(
  'an unknown service of Debian has nothing to keep once it is installed, and then what it writes',
  () => {
    const install = Object.entries(unknown).map(
      ([name, { list, untouched }]) =>
        `printf '%s\\n' ${list} >var/lib/dpkg/info/${name}.list; mkdir -p .${untouched}`,
    );
    const write = Object.values(unknown).map(
      ({ writes }) => `mkdir -p "$(dirname .${writes})"; echo x >.${writes}`,
    );
    const [untouched, written] =
      stepsOf(`rm -r var/lib/acme var/lib/rpm; mkdir -p var/lib/dpkg/info run/systemd/system
    printf '[Service]\\nReadWritePaths=/var/lib/radicale/ /var/cache/radicale/\\n' >run/systemd/system/radicale.service
    ${install.join('\n')}
    json
    ${write.join('\n')}
    json`);
    assert.equal(shortOf(untouched as Step), ['done']);
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
