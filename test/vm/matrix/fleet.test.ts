import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { reports } from '../../browser/fleet.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { hostileReports } from '../../browser/hostile.ts';
import { freePort } from '../libvirt/domain.ts';
import { withHypervisor } from '../libvirt/hypervisor.ts';
import { type Ansible, withAnsible } from '../libvirt/playbooks.ts';
import { defineStubDomain, stubArguments } from '../libvirt/stub-domain.ts';

/**
 * Tests the fleet report of the playbook `status` with real libvirt, QEMU and Ansible. No guest boots: a program in the
 * place of ssh answers with a report, with something else, or not at all.
 */
const fleet = suite('the fleet report of the playbook status');

const print = (value: unknown) => `cat <<'END'\n${JSON.stringify(value)}\nEND`;

/** The guests, by what the program in the place of ssh does. */
const answers: Record<string, string> = {
  good: print(reports.sealed),
  failed: `${print(reports.failed)}\nexit 1`,
  hostile: print(hostileReports['markup']),
  disks: print(hostileReports['disks']),
  rubbish: 'echo "<html>502 Bad Gateway</html>"',
  gone: 'echo "ssh: connect to host gone: Connection refused" >&2; exit 255',
  silent: 'exec sleep 600',
  off: print(reports.sealed),
  unreachable: 'echo "ssh: Could not resolve hostname nowhere" >&2; exit 255',
  undefined: print(reports.sealed),
};

interface Entry {
  name: string;
  state: string;
  problem: string | null;
  differences: string[];
}

fleet('each guest has a row, whatever it answers; HTML, CSV and JSON', () =>
  withFleet(async (ansible, folder) => {
    const file = (name: string) => join(folder, name);
    const targets = ['fleet.html', 'fleet.csv', 'fleet.json'].map(file);
    const all = await ansible.play('status', variables(folder, { immutafs_report: targets }));
    assert.is(all.exit, 2, all.output);
    const { guests } = JSON.parse(readFileSync(file('fleet.json'), 'utf8')) as { guests: Entry[] };
    const states = Object.fromEntries(guests.map(({ name, state }) => [name, state]));
    assert.equal(states, {
      good: 'sealed',
      failed: 'failed',
      hostile: 'no-answer',
      disks: 'no-answer',
      rubbish: 'no-answer',
      gone: 'no-answer',
      silent: 'no-answer',
      off: 'shut-off',
      unreachable: 'unknown',
      undefined: 'unknown',
    });
    for (const [name, reason] of [
      ['hostile', /not a report of immutafs-agent: \S+ (has an invalid value|is none of )/],
      ['disks', /disks\[0\]\.bus is missing/],
      ['rubbish', /not JSON: <html>/],
      ['gone', /Connection refused/],
      ['silent', /time/i],
      ['unreachable', /nowhere/],
      ['undefined', /failed to get domain/],
    ] as const) {
      assert.match(guests.find((guest) => guest.name === name)?.problem ?? '', reason, name);
    }
    const html = readFileSync(file('fleet.html'), 'utf8');
    assert.match(html, /^<!doctype html>/);
    for (const name of Object.keys(answers)) assert.match(html, new RegExp(`<h3>${name}</h3>`));
    assert.is(html.split('<script').length, 2, 'the page contains its own script only');
    assert.is(readFileSync(file('fleet.csv'), 'utf8').trim().split('\r\n').length, 11);
    assert.is(statSync(file('fleet.html')).mode & 0o777, 0o640);
  }),
);

fleet('a fleet without problems: exit 0; wrong paths fail before a guest is asked', () =>
  withFleet(async (ansible, folder) => {
    const play = (report: unknown, more: Record<string, unknown> = {}) =>
      ansible.play(
        'status',
        variables(folder, { immutafs_report: report, ...more }),
        '--limit',
        'good,hypervisor',
      );
    const report = join(folder, 'page');
    const good = await play(report, { immutafs_report_format: 'html', immutafs_report_mode: '0600' });
    assert.is(good.exit, 0, good.output);
    assert.match(
      good.report.join('\n'),
      /^good: sealed; BUT vda has no serial/,
      'this domain has no boot order',
    );
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
  }),
);

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
function withFleet(work: (ansible: Ansible, folder: string) => Promise<void>): Promise<void> {
  return whileTemporaryDirectory(async (reports) => {
    mkdirSync(join(reports, 'ssh'));
    for (const [name, text] of Object.entries(answers)) {
      writeFileSync(join(reports, 'ssh', name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(reports, 'ssh', name), 0o755);
    }
    await withHypervisor(async (hypervisor) => {
      const port = await freePort();
      for (const name of ['stub', 'off']) await defineStubDomain(hypervisor, name, port);
      const guests = Object.keys(answers).map((name) => ({ name, port, key: '/dev/null' }));
      await withAnsible(hypervisor, guests, async (ansible) => {
        for (const [module, args] of [
          ['disk', { readonly: true }],
          ['domain', { state: 'running' }],
        ] as const) {
          const result = await ansible.module(module, { ...stubArguments(hypervisor), ...args });
          assert.is(result.failed, false, result.msg);
        }
        await work(ansible, reports);
      });
    });
  });
}

fleet.run();
