import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { until } from '../../wire/support/until.ts';
import { agentTree } from '../harness/agent.ts';
import { xfsOnLvm } from '../harness/layout.ts';
import { templateOf } from '../harness/template.ts';
import { freePort } from '../libvirt/domain.ts';
import { ask, startSealed } from '../libvirt/fixture.ts';
import { forwardingTo, startRelpServer } from '../libvirt/forwarding.ts';
import { type Hypervisor, withHypervisor } from '../libvirt/hypervisor.ts';
import { type Ansible, withAnsible } from '../libvirt/playbooks.ts';
import { defineStubDomain } from '../libvirt/stub-domain.ts';
import { type VirtualGuest, defineGuest, untilUp } from '../libvirt/virtual-guest.ts';

/**
 * Two boots of a sealed guest with a real libvirt, the real playbooks and a real log server. The fleet report then has
 * this guest beside one in maintenance mode, one that does not answer, and one that is shut off.
 */
const recycle = suite('recycle.yml and the fleet report');

interface Fixture {
  ansible: Ansible;
  host: Hypervisor;
  /** A running sealed guest that forwards to `port`, where no server is running. */
  guest: VirtualGuest;
  /** A guest with a writable disk that forwards nothing. It is shut off. */
  open: VirtualGuest;
  folder: string;
  port: number;
}

/** Calls `work` with two guests, and with the domains `silent` and `off`, which have nothing to boot. */
async function withGuests(work: (fixture: Fixture) => Promise<void>): Promise<void> {
  const template = await templateOf(xfsOnLvm, await agentTree());
  await withHypervisor(async (host) => {
    const port = await freePort();
    const guest = await defineGuest(host, {
      ...{ name: 'guest', template, memoryMiB: 2048, reachesHost: true, edit: forwardingTo(port) },
    });
    const open = await defineGuest(host, { name: 'open', template });
    const stubs = [];
    for (const name of ['silent', 'off']) {
      stubs.push({ ...(await defineStubDomain(host, name)), key: guest.key });
    }
    await withAnsible(
      host,
      [guest, open],
      (ansible) => work({ ansible, guest, open, host, folder: host.folder, port }),
      stubs,
    );
  });
}

const bootId = (guest: VirtualGuest) => ask(guest, 'cat /proc/sys/kernel/random/boot_id');
const crontab = '/var/spool/cron/crontabs/root';

recycle(
  'a guest is restarted only when its logs are acknowledged; its changes are exported, then discarded',
  () =>
    withGuests(async (fixture) => {
      const { ansible, guest, open, host, folder, port } = fixture;
      await startSealed(ansible, host, guest);
      await ask(
        guest,
        `mkdir -p /var/spool/cron/crontabs
      echo '* * * * * /bin/true' >${crontab}
      echo planted >/var/lib/planted
      logger before the restart`,
      );
      const before = await bootId(guest);
      const evidence = new Evidence(join(folder, 'evidence'));
      const variables = { immutafs_hosts: 'guest', immutafs_evidence_directory: evidence.directory };
      const state = await ansible.play('recycle', variables);
      assert.match(
        state.report.join('\n'),
        /FAILED: Require that no state is lost: guest was not shut down, because state that is neither kept nor accepted would be lost: .*\/var\/lib\/planted: /,
        state.output,
      );
      const lose = { ...variables, immutafs_lose_state: true };
      const refused = await ansible.play('recycle', { ...lose, immutafs_backlog_timeout: 10 });
      assert.is(refused.exit, 2, refused.output);
      assert.match(
        refused.report.join('\n'),
        /FAILED: Require that the backlog is acknowledged: guest was not restarted, because its logs could be lost: the forwarder is \w+, not connected/,
        refused.output,
      );
      assert.is(await bootId(guest), before, 'the guest still runs');
      assert.is(await ask(guest, 'cat /var/lib/planted'), 'planted');
      assert.is(evidence.files().length, 4, 'the evidence was fetched twice');

      const stop = await startRelpServer(folder, port);
      try {
        await host.virsh('start', open.name);
        const { exit, output, report } = await ansible.play('recycle', lose);
        assert.equal([exit, report], [0, ['guest: sealed']], output);
        const [, discarded = ''] = /"msg": "guest: discarded ([^"]*)/.exec(output) ?? [];
        assert.match(discarded, /^\d+ changes \([^)]*\) of the boot [0-9a-f-]{36}, notable: /, output);
        assert.ok(discarded.includes(before) && discarded.includes(` ${crontab}`), discarded);
        assert.is.not(await bootId(guest), before);
        await ask(guest, `! [ -e /var/lib/planted ] && ! [ -e ${crontab} ]`);
        assert.match(readFileSync(join(folder, 'received'), 'latin1'), 'before the restart');
        assert.is(await evidence.contentOf('files/var/lib/planted'), 'planted');
        assert.is(evidence.files().length, 6, 'the earlier evidence is kept');
        await assertFleet(fixture);
      } finally {
        stop();
      }
    }),
);

/** The files that recycle.yml has fetched from the guest. */
class Evidence {
  readonly directory: string;
  readonly #folder: string;

  constructor(directory: string) {
    this.directory = directory;
    this.#folder = join(directory, 'guest');
  }

  files(): string[] {
    return existsSync(this.#folder) ? readdirSync(this.#folder).sort() : [];
  }

  /** Verifies the last export. @returns the content of a file in it */
  async contentOf(file: string): Promise<string> {
    const [tar = '', checksum = ''] = this.files().slice(-2);
    await execa('sha256sum', ['--check', '--status', checksum], { cwd: this.#folder });
    return (await execa('tar', ['-xOf', join(this.#folder, tar), file])).stdout;
  }
}

/** A guest in the JSON file of the fleet report. */
interface Entry {
  name: string;
  state: string;
  problem: string | null;
  host: { state: string; readOnly: boolean | null };
  claim: (Record<string, unknown> & { footholds: { target: string }[] }) | null;
}

/** Asserts that each format of the fleet report has what the two running guests said, and a row of each other guest. */
async function assertFleet({ ansible, host, guest, open, folder }: Fixture): Promise<void> {
  await host.virsh('start', 'silent');
  await untilUp(open, 600);
  const said: Record<string, Report> = {};
  for (const each of [guest, open]) {
    const settled = async () => {
      const { stdout } = await each.ssh('immutafs-agent status --json');
      said[each.name] = JSON.parse(stdout) as Report;
      const { verdict, forward } = said[each.name] ?? {};
      return verdict === 'maintenance' || forward?.state === 'connected';
    };
    await until(`the report of ${each.name} is that of a complete boot`, settled, 120);
  }
  assert.equal(
    Object.values(said).map(({ verdict, enforcement, forward }) => [verdict, enforcement, forward?.state]),
    [
      ['sealed', 'host', 'connected'],
      ['maintenance', 'none', undefined],
    ],
  );

  const files = ['fleet.html', 'fleet.csv', 'fleet.json'].map((name) => join(folder, name));
  const [html = '', csv = '', json = ''] = files;
  const variables = { immutafs_hosts: 'all:!hypervisor', immutafs_report: files };
  const { exit, output } = await ansible.play('status', { ...variables, immutafs_boot_required: false });
  assert.is(exit, 0, output);
  const { guests } = JSON.parse(readFileSync(json, 'utf8')) as { guests: Entry[] };
  assert.equal(
    Object.fromEntries(guests.map(({ name, state, host: { readOnly } }) => [name, [state, readOnly]])),
    {
      ...{ silent: ['no-answer', false], open: ['maintenance', false] },
      ...{ off: ['shut-off', null], guest: ['sealed', true] },
    },
  );
  assert.match(guests.find(({ name }) => name === 'silent')?.problem ?? '', /ssh|time/i);
  const rows = await rowsOf(csv);
  const page = readFileSync(html, 'utf8');
  for (const { name, claim } of guests) {
    const report = said[name];
    const section = page.split(`<h3>${name}</h3>`)[1]?.split('<h3>')[0] ?? '';
    assert.is(rows[name]?.['guest_verdict'], report?.verdict ?? '', name);
    if (report === undefined) {
      assert.is(claim, null, name);
      continue;
    }
    const { verdict, mode, enforcement, agent, host: its, footholds } = report;
    assert.equal(
      [claim?.['verdict'], claim?.['mode'], claim?.['enforcement'], claim?.['agent'], claim?.['kernel']],
      [verdict, mode, enforcement, agent.version, its.kernel],
    );
    const targets = footholds.map(({ target }) => target);
    assert.equal(
      claim?.footholds.map(({ target }) => target),
      targets,
    );
    assert.is(rows[name]?.['footholds'], String(targets.length));
    assert.is(rows[name]?.['forward_state'], report.forward?.state ?? '');
    for (const text of [its.kernel, ...targets]) assert.ok(section.includes(text), `${name}: ${text}`);
  }
}

/** Parses a CSV file with a header. @returns the lines by their first column */
async function rowsOf(file: string): Promise<Record<string, Record<string, string>>> {
  const program =
    'import csv, json, sys; print(json.dumps({row["guest"]: row for row in csv.DictReader(open(sys.argv[1], newline=""))}))';
  const { stdout } = await execa('/usr/bin/python3', ['-c', program, file]);
  return JSON.parse(stdout) as Record<string, Record<string, string>>;
}

recycle.run();
