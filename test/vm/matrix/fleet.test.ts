import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { reports } from '../../browser/fleet.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { hostileReports } from '../../browser/hostile.ts';
import { held } from '../harness/shared.ts';
import { withHypervisor } from '../libvirt/hypervisor.ts';
import { type Ansible, assertPlayed, withAnsible } from '../libvirt/playbooks.ts';
import { defineStubDomain } from '../libvirt/stub-domain.ts';
import { writeProgram } from '../libvirt/write-program.ts';

/**
 * Tests the fleet report of the playbook `status` with real libvirt, QEMU and Ansible. No guest boots: a program in the
 * place of ssh answers with a report, with something else, or not at all.
 */
const fleet = suite('the fleet report of the playbook status');

const print = (value: unknown) => `cat <<'END'\n${JSON.stringify(value)}\nEND`;

/**
 * The guests: what the program in the place of ssh does, the state in the report, and the problem that the report names if the
 * guest has not answered.
 */
const fleetGuests: Record<string, [program: string, state: string, problem?: RegExp]> = {
  good: [print(reports.sealed), 'sealed'],
  failed: [`${print(reports.failed)}\nexit 1`, 'failed'],
  hostile: [
    print(hostileReports['markup']),
    'no-answer',
    /not a report of immutafs-agent: \S+ (has an invalid value|is none of )/,
  ],
  disks: [print(hostileReports['disks']), 'no-answer', /disks\[0\]\.bus is missing/],
  rubbish: ['echo "<html>502 Bad Gateway</html>"', 'no-answer', /not JSON: <html>/],
  gone: [
    'echo "ssh: connect to host gone: Connection refused" >&2; exit 255',
    'no-answer',
    /Connection refused/,
  ],
  silent: ['exec sleep 600', 'no-answer', /time/i],
  off: [print(reports.sealed), 'shut-off'],
  unreachable: ['echo "ssh: Could not resolve hostname nowhere" >&2; exit 255', 'unknown', /nowhere/],
  undefined: [print(reports.sealed), 'unknown', /failed to get domain/],
};

interface Fleet {
  ansible: Ansible;
  folder: string;
}

/** The tests only query the guests, so they share them. */
const { open, close } = held(withFleet);

/** What is used here of a guest in the JSON file. */
interface Entry {
  name: string;
  state: string;
  problem: string | null;
}

fleet('each guest has a row, whatever it answers; HTML, CSV and JSON', async () => {
  const { ansible, folder } = await open();
  const file = (name: string) => join(folder, name);
  const targets = ['fleet.html', 'fleet.csv', 'fleet.json'].map(file);
  const all = await ansible.play('status', variables(folder, { immutafs_report: targets }));
  assert.is(all.exit, 2, all.output);
  const { guests } = JSON.parse(readFileSync(file('fleet.json'), 'utf8')) as { guests: Entry[] };
  const expected = Object.entries(fleetGuests);
  assert.equal(
    Object.fromEntries(guests.map(({ name, state }) => [name, state])),
    Object.fromEntries(expected.map(([name, [, state]]) => [name, state])),
  );
  for (const [name, [, , problem]] of expected)
    if (problem !== undefined)
      assert.match(guests.find((guest) => guest.name === name)?.problem ?? '', problem, name);
  const html = readFileSync(file('fleet.html'), 'utf8');
  assert.match(html, /^<!doctype html>/);
  for (const [name] of expected) assert.match(html, new RegExp(`<h3>${name}</h3>`));
  assert.is(html.split('<script').length, 2, 'the page contains its own script only');
  assert.is(readFileSync(file('fleet.csv'), 'utf8').trim().split('\r\n').length, 11);
  assert.is(statSync(file('fleet.html')).mode & 0o777, 0o640);
});

fleet('a fleet without problems: exit 0; wrong paths fail before a guest is asked', async () => {
  const { ansible, folder } = await open();
  const play = (report: unknown, more: Record<string, unknown> = {}) =>
    ansible.play(
      'status',
      variables(folder, { immutafs_report: report, ...more }),
      '--limit',
      'good,hypervisor',
    );
  const report = join(folder, 'page');
  const good = await play(report, { immutafs_report_format: 'html', immutafs_report_mode: '0600' });
  // This domain has no boot order.
  assertPlayed(good, 0, /^good: sealed; BUT vda has no serial/);
  assert.is(statSync(report).mode & 0o777, 0o600);
  for (const [path, more, message] of [
    [join(folder, 'fleet.pdf'), {}, /one of html, json, csv, not 'pdf'/],
    [join(folder, 'none/fleet.html'), {}, /the directory .*none of the fleet report does not exist/],
    [folder, {}, /is a directory/],
    [7, {}, /not a string/],
    [join(folder, 'x.html'), { immutafs_report_mode: 'rw' }, /an octal number in quotes/],
  ] as const) {
    const { exit, output, report: lines } = await play(path, more);
    assert.is(exit, 2, output);
    assert.match(output.replaceAll(/\s+/g, ' '), message);
    assert.equal(lines, [], 'nothing was queried');
  }
});

function variables(folder: string, more: Record<string, unknown>): Record<string, unknown> {
  const choose = (special: Record<string, string>, otherwise: string) =>
    `{{ ${JSON.stringify(special)}[inventory_hostname] | default('${otherwise}') }}`;
  return {
    ansible_ssh_executable: `${folder}/ssh/{{ inventory_hostname }}`,
    immutafs_domain: choose({ off: 'off', undefined: 'missing' }, 'stub'),
    immutafs_hypervisor: choose({ unreachable: 'nowhere' }, 'hypervisor'),
    immutafs_boot_required: false,
    immutafs_status_timeout: 5,
    ...more,
  };
}

/** Calls `work` with an inventory of the guests, and a folder for the reports. */
function withFleet(work: (fixture: Fleet) => Promise<void>): Promise<void> {
  return whileTemporaryDirectory(async (folder) => {
    for (const [name, [program]] of Object.entries(fleetGuests))
      await writeProgram(join(folder, 'ssh', name), program);
    await withHypervisor(async (hypervisor) => {
      const stub = await defineStubDomain(hypervisor, 'stub', { isSealed: true });
      await defineStubDomain(hypervisor, 'off');
      await hypervisor.virsh('start', 'stub');
      const guests = Object.keys(fleetGuests).map((name) => ({ ...stub, name }));
      await withAnsible(hypervisor, guests, (ansible) => work({ ansible, folder }));
    });
  });
}

fleet('the fleet ends without an error', close);

fleet.run();
