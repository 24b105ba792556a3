import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loginMessage, maintenanceLines } from '../../../agent/report/maintenance.ts';
import type { Report } from '../../../agent/report/report.ts';
import { formatText } from '../../../agent/report/text.ts';
import { finding, sample } from '../../harness/sample-report.ts';

const boot: Report['boot'] = {
  stage: 'initramfs',
  version: '1.2.3',
  at: '2026-03-04T05:06:07.089Z',
  ageSeconds: 7300,
  says: [],
  warnings: [],
  errors: [],
};
const open: Report = { ...sample, mode: 'maintenance', verdict: 'maintenance', boot, checks: [] };
const since = 'In maintenance since 2026-03-04 05:06 UTC, 2 h ago: what is written to the disk stays.';
const unknown = 'In maintenance: what is written to the disk stays.';
const todo = 'What is left to do before it is sealed: immutafs-agent check --ready-to-seal';
const failing = 'Checks that do not pass: home-options, mtab-link. See immutafs-agent status';
const checks = [
  finding('fail', 'required', 'home-options'),
  finding('fail', 'advisory', 'initramfs-hook'),
  finding('warn', 'required', 'tmp-options'),
  finding('error', 'required', 'mtab-link'),
];

const maintenance = suite('what is said in maintenance and at a login');
for (const [title, report, lines, login] of [
  ['maintenance', open, [since, todo], [since, todo]],
  ['maintenance without the boot’s word', { ...open, boot: null }, [unknown, todo], [unknown, todo]],
  ['maintenance, and checks fail', { ...open, checks }, [since, todo], [since, todo, failing]],
  ['sealed', { ...sample, boot, checks: [finding('pass')] }, [], []],
  ['sealed, and checks fail', { ...sample, boot, checks }, [], [failing]],
  ['off', { ...open, mode: 'off', verdict: 'off' }, [], []],
] satisfies [string, Report, string[], string[]][]) {
  maintenance(title, () => {
    assert.equal(maintenanceLines(report), lines);
    assert.is(loginMessage(report), login.map((line) => `immutafs-agent: ${line}\n`).join(''));
    const text = formatText(report, false).split('\n');
    assert.equal(
      text.filter((line) => [since, unknown, todo].includes(line.trim())).map((line) => line.trim()),
      lines,
    );
  });
}
maintenance.run();
