/**
 * Tests `prepare --only writes` in a small system with a real disk, a real package database and a boot that a time
 * namespace places after the files of the system were created.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Step, WriteGroup } from '../../agent/prepare/engine/step.ts';
import { buildPackage, plansOf } from '../harness/small-system.ts';

const writes = suite('prepare --only writes');

/** Runs a script in a system that has just booted. `package` installs a package with the file /opt/tool/bin. */
const afterBoot = (script: string) =>
  plansOf(`mkdir -p opt/agent srv/data root var/tmp var/lib/rpm mnt; : >opt/agent/old; : >srv/data/old; sync
    ${buildPackage('tool', ['/opt/tool/bin', '/etc/tool.conf'], ['/opt/tool', '/etc/tool.conf'])}
    cat >/run/script <<'SCRIPT'
sleep 2
writes() { agent prepare --only writes "$@"; }
package() { rpm --install --nodeps --nosignature "$@" /run/noarch/tool-1-1.noarch.rpm; }
${script}
SCRIPT
    sleep 2
    unshare --time --boottime=-"$(cut -d. -f1 /proc/uptime)" --fork sh -e /media/test/harness/small-system-inside.sh '. /run/script'`);

const short = ({ writer, directory, count, outcome }: WriteGroup) =>
  `${writer ?? directory} ${outcome} ${count}`;
const shortOf = (step: Step | undefined) => [step?.state, ...(step?.writes ?? []).map(short)];

writes('nothing was changed: done; an update alone: done; a file beside the updated ones: named', () => {
  const { steps } = afterBoot('json writes; package; json writes; : >/opt/tool/state; json writes');
  assert.equal(steps.map(shortOf), [['done'], ['done'], ['done', '/opt/tool unknown 1']]);
  assert.match(steps[1]?.why.join(' ') ?? '', /Left out: \d by package updates/);
  assert.equal(steps[2]?.writes?.[0]?.paths, ['/opt/tool/state']);
});

writes('without the package database, the same update is named', () => {
  const { steps } = afterBoot(
    'package --justdb --replacepkgs; package --replacepkgs; rpm -e --justdb --nodeps tool; json writes',
  );
  assert.equal(shortOf(steps[0]), ['done', '/etc unknown 1', '/opt/tool unknown 1']);
});

writes(
  'writers are found by their open files; links, mounts and names with control characters mislead nobody',
  () => {
    const { steps, printed } = afterBoot(`
    exec 7>>/opt/agent/old
    ln -s / /opt/agent/root
    mkdir /srv/data/memory; mount -t tmpfs x /srv/data/memory; : >/srv/data/memory/not-on-the-disk
    touch "$(printf '/srv/data/a\\nb\\033[2Jc')"
    : >/tmp/x; : >/var/x; : >/run/x
    json writes; writes || true`);
    assert.equal(shortOf(steps[0]), ['done', '/opt/agent unknown 2', '/srv/data unknown 1']);
    const [agent, data] = steps[0]?.writes ?? [];
    assert.match(agent?.openBy.join() ?? '', /^sh \(\d+\)/);
    assert.equal([agent?.overlay, data?.overlay], [[], []]);
    assert.match(printed, /how to keep or reset\s+\/opt\/agent\./);
    assert.ok(data?.paths.includes('/srv/data/a\nb\x1b[2Jc'));
    assert.not.ok(printed.includes('\x1b[2J'));
    assert.not.match(JSON.stringify(steps), /not-on-the-disk/);
  },
);

writes(
  'a program that runs from the directory: the step state names what it writes until that is decided',
  () => {
    const { steps, printed } = afterBoot(`
    cp /bin/sleep /opt/agent/agentd; /opt/agent/agentd 100 & : >/etc/adjtime; sleep 2
    json writes; json state
    agent prepare --only state --only writes --apply --yes --accept /opt/agent >/dev/null; json state; json writes
    agent prepare --undo >/dev/null; kill $!; wait; json state`);
    assert.equal(shortOf(steps[0])[0], 'done');
    assert.match(steps[0]?.writes?.map(({ programs }) => programs).join() ?? '', /^,*agentd \(\d+\),*$/);
    const findings = (step: Step | undefined) => [
      step?.state,
      ...(step?.stateFindings ?? []).map(({ name }) => name),
    ];
    assert.equal(findings(steps[1]), ['by hand', '/opt/agent'], printed);
    assert.equal(steps[1]?.stateFindings?.[0]?.persist, ['/opt/agent:autostart']);
    assert.equal(findings(steps[2]), ['done']);
    assert.equal(shortOf(steps[3])[0], 'done');
    assert.equal(findings(steps[4]), ['done'], 'without the program, the changes need nothing');
  },
);

writes(
  'what an administrator changed is listed until it is accepted, and what changes later is listed',
  () => {
    // What changes within a second of an action of `prepare` counts as its result.
    const { steps, printed } = afterBoot(`
    mkdir /etc/vendor; : >/etc/vendor/a; json writes; writes; sleep 1
    writes --apply --yes --accept changes >/dev/null
    json writes; sleep 1; : >/etc/vendor/b; json writes; exec 7>>/etc/vendor/b; json writes`);
    assert.equal(steps.map(shortOf), [
      ['done', '/etc/vendor unknown 1'],
      ['done', 'null accepted 1'],
      ['done', '/etc/vendor unknown 1', 'null accepted 1'],
      ['by hand', '/etc/vendor unknown 1', 'null accepted 1'],
    ]);
    assert.match(printed, /\/etc\/vendor: 1 path changed/);
  },
);
writes.run();
