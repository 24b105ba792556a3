import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checks } from '../../../agent/checks/index.ts';
import type { Status } from '../../../agent/checks/check.ts';
import { controls, frameworks } from '../../../agent/controls/controls.ts';
import type { ReportWithControls } from '../../../agent/report/controls.ts';
import { compliancePage, ruleRows, tailoring, tailoringFile } from '../../../docs/compliance.ts';
import { runIn } from '../../harness/command-line.ts';
import { type Guest, goodGuest, maintenanceGuest } from '../../harness/guest.ts';

const table = suite('table of controls');

const ids = new Set(checks.map(({ id }) => id));

table('each row names checks that exist, and what the configuration must demand', () => {
  for (const { ids: numbers, checks: evidence, ifApplicable = [], demands = [] } of controls) {
    const name = numbers.join(' ');
    assert.ok(evidence.length > 0, name);
    for (const id of [...evidence, ...ifApplicable]) assert.ok(ids.has(id), `${name}: ${id}`);
    for (const demand of demands)
      assert.match(demand, /^(REQUIRE_OPTIONS|MOUNT_OPTIONS|VAR_OPTIONS)=\/[a-z/]+(:[a-z,]+)?$/, name);
  }
  for (const { why } of frameworks.flatMap(({ unanswered = [] }) => unanswered)) assert.ok(why.endsWith('.'));
  for (const { instead = [] } of ruleRows) for (const id of instead) assert.ok(ids.has(id), id);
});

table('a rule that demands encryption is replaced only by the check that examines it', () => {
  const rows = ruleRows.filter(({ rules }) => rules.some((rule) => /tls|encrypt/.test(rule)));
  const replaced = rows.filter(({ instead }) => instead !== undefined);
  assert.ok(replaced.length > 0);
  for (const { rules, instead = [] } of replaced) assert.ok(instead.includes('forward-encrypted'), rules[0]);
  const demanding = controls.filter(({ rule = '' }) => /tls|encrypt/.test(rule));
  assert.ok(demanding.length > 0);
  for (const { rule, checks: evidence } of demanding) assert.ok(evidence.includes('forward-encrypted'), rule);
});

table('the pages are generated from it', () => {
  assert.is(fs.readFileSync('docs/compliance.md', 'utf8'), compliancePage(), 'npm run compliance-page');
  assert.is(fs.readFileSync(tailoringFile, 'utf8'), tailoring(), 'npm run compliance-page');
});

table.run();

const results = suite('status --controls');

async function resultsIn(guest: Guest): Promise<Record<string, Status>> {
  const { stdout } = await runIn(guest, 'status', '--controls', '--json');
  const report = JSON.parse(stdout) as ReportWithControls;
  const entries = report.controls.map(({ ids: [number = ''], status }): [string, Status] => [number, status]);
  return Object.fromEntries(entries);
}

const of = (status: Record<string, Status>, ...numbers: string[]) => numbers.map((number) => status[number]);

results(
  'a sealed guest meets the controls of the seal, and not those of logs that nobody forwards',
  async () => {
    const status = await resultsIn(goodGuest());
    assert.equal(of(status, 'SC-34', 'SC-34(2)', 'CM-5', 'RHEL-08-040125', 'RHEL-08-040134'), [
      'pass',
      'pass',
      'pass',
      'pass',
      'pass',
    ]);
    assert.equal(of(status, 'AU-4(1)', '10.3.3', 'RHEL-08-030690'), ['skip', 'skip', 'skip']);
  },
);

results(
  'a check that fails, or cannot be evaluated, is the result of every control that names it',
  async () => {
    const broken = goodGuest();
    broken.answers.tryWrite = 'OK';
    assert.equal(of(await resultsIn(broken), 'SC-34', 'CM-5', 'SC-34(2)'), ['fail', 'fail', 'pass']);
    const unclear = goodGuest();
    unclear.answers.tryWrite = 'EIO';
    assert.equal(of(await resultsIn(unclear), 'SC-34', 'SC-34(2)'), ['error', 'pass']);
  },
);

for (const [servers, expected] of [
  ['syslog+udp://log.example', ['warn', 'warn', 'warn']],
  ['relp+tls://log.example:2514 syslog+udp://log.example', ['fail', 'fail', 'fail']],
] as const) {
  results(`logs to ${servers} are not shown to be encrypted`, async () => {
    const guest = goodGuest();
    guest.files['etc/immutafs/immutafs.conf'] = `FORWARD=${servers}\n`;
    const status = await resultsIn(guest);
    assert.equal(of(status, 'SC-8(1)', 'RHEL-08-030710', 'RHEL-08-030720'), expected);
  });
}

results('in maintenance, no control of the seal is shown to be met', async () => {
  const status = await resultsIn(maintenanceGuest());
  assert.equal(of(status, 'SC-34', 'SI-14', 'CM-5'), ['skip', 'skip', 'skip']);
});

for (const [line, lost, kept] of [
  ['REQUIRE_OPTIONS=/tmp:nosuid,nodev', 'RHEL-08-040125', 'RHEL-08-040124'],
  ['MOUNT_OPTIONS=/dev/shm:noexec,nodev', 'RHEL-08-040121', 'RHEL-08-040122'],
  ['VAR_OPTIONS=nosuid', 'RHEL-09-231140', '1.1.2.4.3 (RHEL 8, 9, 10)'],
] as const) {
  results(`an option that the configuration does not demand is not shown: ${line}`, async () => {
    const guest = goodGuest();
    guest.files['etc/immutafs/immutafs.conf'] = `${line}\n`;
    const status = await resultsIn(guest);
    assert.is(status[lost], 'skip');
    assert.not.equal(status[kept], 'skip');
    const { stdout } = await runIn(guest, 'status', '--controls');
    assert.match(stdout, /not in (REQUIRE|MOUNT|VAR)_OPTIONS: /);
  });
}

results('--all names every check, and what the checks do not show', async () => {
  const [short, all] = [
    await runIn(goodGuest(), 'status', '--controls'),
    await runIn(goodGuest(), 'status', '--controls', '--all'),
  ];
  assert.is(short.code, 0);
  const limit = controls.find(({ ids: numbers }) => numbers[0] === 'SC-34')?.limit ?? '';
  assert.not.match(short.stdout, limit);
  assert.match(all.stdout, limit);
  assert.match(all.stdout, 'host-enforced pass');
});

results.run();
