import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cleaning } from '../../../agent/system/log.ts';
import type { Plan } from '../../../agent/prepare/engine/plan.ts';
import { planJson, planText } from '../../../agent/prepare/engine/text.ts';
import { formatPrometheus } from '../../../agent/report/prometheus.ts';
import type { Report } from '../../../agent/report/report.ts';
import { logReport } from '../../../agent/report/log.ts';
import { formatText } from '../../../agent/report/text.ts';
import { toJson } from '../../../agent/lib/unprintable.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { bootEnv, goodGuest, evaluateFixture } from '../../harness/guest.ts';
import { sample } from '../../harness/sample-report.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const codes = [
  ...[...range(0x00, 0x1f), ...range(0x7f, 0x9f), 0x061c, 0x200e, 0x200f, 0x2028, 0x2029],
  ...[...range(0x202a, 0x202e), ...range(0x2066, 0x2069), 0xd800, 0xdfff],
];
const evil = codes.map((code) => `a${String.fromCharCode(code)}`).join('');
/** A second implementation, because the program's own function must not verify itself. */
const isEvil = (text: string) =>
  Array.from({ length: text.length }, (_, index) => text.charCodeAt(index)).some(
    (code) => code !== 0x0a && codes.includes(code),
  );

const counts = { acknowledged: 0, repeated: 0, lost: 0, corrupt: 0, refused: 0, cut: 0, suppressed: 0 };
const at = '2026-03-04T05:06:07.089Z';
/** Returns a report in which each text that the guest or an attacker chooses is this one. */
const reportWith = (text: string): Report => ({
  ...sample,
  host: { name: text, kernel: text, os: text, bootId: text },
  reason: text,
  disks: sample.disks.map((disk) => ({ ...disk, name: text, evidence: text, holds: [text] })),
  footholds: [{ target: text, reason: text, tighten: text, executable: true, persistent: true }],
  boot: { stage: 'late', version: text, at, ageSeconds: 1, says: [], warnings: [text], errors: [text] },
  checks: sample.checks.map((each) => ({
    ...each,
    ...{ subject: text, expected: text, observed: text, remedy: text },
  })),
  forward: {
    ...{ target: text, state: 'waiting', since: at, lastAckAt: null, lag: { entries: 0, seconds: 0 } },
    ...{ error: text, lostFiles: 0, ...counts },
    sources: [{ path: text, acknowledgedBytes: 0, behindBytes: 0, lostBytes: 1, error: text }],
  },
});
const report = reportWith(evil);

const outputs = suite('unprintable characters');

outputs('text has none, and no line more', () => {
  for (const all of [false, true]) {
    const [shown = '', harmless] = [evil, 'a'].map((text) =>
      formatText(reportWith(text), { all, color: false, columns: undefined }),
    );
    assert.not.ok(isEvil(shown));
    assert.is(shown.split('\n').length, harmless?.split('\n').length);
  }
});

outputs('JSON has none, and reads back as the same value', () => {
  const text = toJson(report, 2);
  assert.not.ok(isEvil(text));
  assert.equal(JSON.parse(text), report);
  assert.is(toJson('\u009b\u202e'), '"\\u009b\\u202e"');
});

outputs("Prometheus' labels have none; a line feed is escaped", () => {
  const text = formatPrometheus(report);
  assert.not.ok(isEvil(text));
  assert.match(text, /^immutafs_forward_info\{target="a\\\\u0000a.*a\\\\na.*"\} 1$/m);
});

outputs('the log has none, in its messages and in its fields', () => {
  const said: string[] = [];
  logReport(
    report,
    cleaning((_, message, fields) => void said.push(message, ...Object.values(fields))),
  );
  assert.ok(said.length > 0);
  assert.not.ok(said.some((text) => isEvil(text) || text.includes('\n')));
});

outputs('readable text is unchanged', () => {
  const good = 'ä 日本 עברית 😀 "quoted" \\';
  const kept = { ...report, reason: good };
  assert.match(formatText(kept, { all: true, color: false, columns: undefined }), good);
  assert.is(toJson(good), JSON.stringify(good));
});

outputs('a guest with names in UTF-8, and in no encoding, is described in UTF-8', async () => {
  const guest = goodGuest();
  guest.files['etc/os-release'] = 'PRETTY_NAME="\xc3\xa4 \xff"\n';
  guest.files['run/immutafs/boot.env'] = `${bootEnv()}WARNING=\xc3\xa4 \xff\n`;
  guest.files['etc/mtab'] = { linkTo: '/ä' };
  const { host, boot, checks } = await evaluateFixture(guest);
  assert.equal([host.os, boot?.warnings], ['\\xc3\\xa4 \\xff', ['\\xc3\\xa4 \\xff']]);
  assert.match(checks.find(({ id }) => id === 'mtab-link')?.observed ?? '', 'ä');
});

outputs('a link has one character per byte, like the content of a file', () => {
  inTemporaryDirectory((root) => {
    writeFiles(root, { l: { linkTo: 'ä' } });
    assert.is(systemReader({ root }).link('/l'), '\xc3\xa4');
  });
});

outputs('a plan names files in UTF-8, as text and as JSON', () => {
  const plan = (why: string): Plan => ({
    refused: null,
    steps: [
      {
        ...{ id: 'fstab', state: 'needed', why: [why] },
        actions: [{ do: 'edit', file: '/etc/fstab', before: null, after: '/\xc3\xa4\n' }],
      },
    ],
  });
  assert.match(planText(plan('/srv/\xc3\xa4'), false), '/srv/ä');
  const [step] = (JSON.parse(planJson(plan('/srv/\xc3\xa4'))) as Plan).steps;
  assert.equal(step?.why, ['/srv/ä']);
  assert.equal(step?.actions, [{ do: 'edit', file: '/etc/fstab', before: null, after: '/ä\n' }]);
  for (const why of ['\x1b\xc2\x9b\xe2\x80\xae', '\xff\x9b'])
    assert.not.ok(isEvil(planText(plan(why), false) + planJson(plan(why))));
});

outputs.run();
