import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentTree } from '../harness/agent.ts';
import {
  assertConfined,
  assertOrdinary,
  assertWorking,
  linesOf,
  type Results,
  runConfined,
} from '../harness/confinement.ts';

/**
 * Runs the services with the drop-ins that select-dropins selects for an earlier version of systemd: with those for 252
 * on 252 itself, and with those for 239 alone on 247, the earliest version that Debian still distributes.
 */
const releases = [
  // Before systemd 253, MemoryDenyWriteExecute= is a filter of system calls, which returns SystemCallErrorNumber=.
  {
    release: 'bookworm' as const,
    version: 252,
    selected: ['239', '252'],
    attempts: { 'writable-code': 'EPERM' },
  },
  {
    release: 'bullseye' as const,
    version: 247,
    selected: ['239'],
    attempts: { 'writable-code': 'EPERM', 'process-of-root': 'OK', 'set-user-id': 'OK' },
  },
];

const services = ['check', 'drift', 'forward'];
const units = '/usr/lib/systemd/system';
const verify = `systemd-analyze verify --man=no ${units}/immutafs-*.service ${units}/immutafs-*.timer`;
/** systemd 254 is the first version that knows this directive. */
const newer = `printf '[Service]\\nImportCredential=x\\n'`;
const newerFile = 'immutafs-check.service.d/hardening-since-254.conf';

/** Prints the warnings of systemd-analyze, before and after a drop-in for a newer version is there. */
const look = `systemctl --version >/out/version
selected() { (cd ${units} && ls -d immutafs-*.service.d/*); }
selected >/out/selected
${verify} >/out/verified 2>&1; echo "exit code $?" >>/out/verified
${newer} >/usr/lib/immutafs-agent/dropins/${newerFile}
/usr/libexec/immutafs/immutafs-boot select-dropins reload
selected >/out/selected-again
${newer} >${units}/${newerFile}
${verify} >/out/verified-newer 2>&1`;

for (const { release, version, selected, attempts } of releases) {
  const earlier = suite(`systemd ${version}`);
  let results: Results = {};

  earlier.before(async () => {
    results = await runConfined(look, () => agentTree(release));
  });

  earlier('it knows each directive of our units and of the selected drop-ins', () => {
    assert.match(linesOf(results, 'version')[0] ?? '', `systemd ${version} `);
    const files = services.flatMap((name) =>
      selected.map((since) => `immutafs-${name}.service.d/hardening-since-${since}.conf`),
    );
    assert.equal(linesOf(results, 'selected'), files);
    assert.is(linesOf(results, 'verified').at(-1), 'exit code 0');
    assert.equal(ofAgent('verified'), []);
  });

  earlier('a drop-in for a newer version is not selected; if it were, systemd would warn', () => {
    assert.equal(linesOf(results, 'selected-again'), linesOf(results, 'selected'));
    const [line = '', ...more] = ofAgent('verified-newer');
    assert.match(line, /hardening-since-254\.conf:2: Unknown key (name )?'ImportCredential' in section /);
    assert.equal(more, []);
  });

  earlier('an intruder in the place of the forwarder is confined by the selected drop-ins', () => {
    assertConfined(results, attempts);
    assertOrdinary(results);
  });

  earlier('the service of the check finds what the command finds, and the forwarder connects', () =>
    assertWorking(results),
  );

  earlier.run();

  /** Returns the messages about our units, not those about units of Debian. */
  function ofAgent(name: string): string[] {
    return linesOf(results, name).filter((line) => line.includes('immutafs'));
  }
}
