import fs from 'node:fs';
import path from 'node:path';
import { Ajv, type AnySchema } from 'ajv';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checks } from '../../../agent/checks/index.ts';
import { UsageError } from '../../../agent/lib/errors.ts';
import { explain } from '../../../agent/report/explain.ts';
import { logReport } from '../../../agent/report/log.ts';
import { type Report, decideVerdict, exitCode } from '../../../agent/report/report.ts';
import { formatText } from '../../../agent/report/text.ts';
import { version } from '../../../agent/lib/version.ts';
import { el7Guest } from '../../harness/el7-guest.ts';
import { finding, sample } from '../../harness/sample-report.ts';
import { type Guest, evaluateGuest, goodGuest, maintenanceGuest, withGuest } from '../../harness/guest.ts';

async function reportOf(guest: Guest): Promise<Report> {
  return withGuest(guest, evaluateGuest);
}

const verdict = suite('verdict and exit code');
for (const [title, mode, findings, expected, code] of [
  ['all pass', 'sealed', [finding('pass'), finding('pass')], 'sealed', 0],
  ['a warning', 'sealed', [finding('warn')], 'sealed', 0],
  ['a required failure', 'sealed', [finding('pass'), finding('fail')], 'failed', 1],
  ['an advisory failure', 'sealed', [finding('fail', 'advisory')], 'sealed', 0],
  ['a required error', 'sealed', [finding('error'), finding('pass')], 'unknown', 3],
  ['an advisory error', 'sealed', [finding('error', 'advisory')], 'sealed', 0],
  ['a failure and an error', 'sealed', [finding('error'), finding('fail')], 'failed', 1],
  ['maintenance', 'maintenance', [finding('skip')], 'maintenance', 4],
  ['off', 'off', [finding('skip')], 'off', 4],
  ['a failure in maintenance', 'maintenance', [finding('fail')], 'failed', 1],
  ['an error in maintenance', 'maintenance', [finding('error')], 'unknown', 3],
  [
    'the configuration, in a view that is not the guest',
    'sealed',
    [finding('fail', 'required', 'config-valid'), finding('error', 'required', 'kernel-view')],
    'unknown',
    3,
  ],
  ['only the configuration', 'sealed', [finding('fail', 'required', 'config-valid')], 'failed', 2],
  [
    'the configuration and more',
    'sealed',
    [finding('fail', 'required', 'config-valid'), finding('fail')],
    'failed',
    1,
  ],
] as const) {
  verdict(title, () => {
    const got = decideVerdict(mode, findings);
    assert.is(got, expected);
    const report = { verdict: got, checks: [...findings] } as Report;
    assert.is(exitCode(report), code);
  });
}
verdict.run();

const schemaFile = path.join(import.meta.dirname, '../../../agent/report/report.schema.json');
const validate = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true }).compile(
  JSON.parse(fs.readFileSync(schemaFile, 'utf8')) as AnySchema,
);
/** As a reader of report.json has it. */
const json = (report: Report) => JSON.parse(JSON.stringify(report)) as Report & Record<string, unknown>;

const schema = suite('report.schema.json');
const withoutHook = goodGuest();
delete withoutHook.files['run/immutafs/boot.env'];
const damaged = goodGuest();
damaged.files['run/immutafs/boot.env'] = 'MODE';
damaged.answers.tryWrite = 'EIO';
for (const [title, guest] of Object.entries({
  sealed: goodGuest(),
  maintenance: maintenanceGuest(),
  'without the hook': withoutHook,
  'with errors': damaged,
  'with impostors': el7Guest('clone-second'),
  'of a copy': el7Guest('clone-first'),
})) {
  schema(`describes a report: ${title}`, async () => {
    const report = json(await reportOf(guest));
    assert.is(validate(report), true, JSON.stringify(validate.errors));
  });
}

for (const [title, change] of Object.entries<(report: Record<string, unknown> & Report) => void>({
  'another schema': (report) => Object.assign(report, { schema: 2 }),
  'no verdict': (report) => Reflect.deleteProperty(report, 'verdict'),
  'an unknown verdict': (report) => Object.assign(report, { verdict: 'fine' }),
  'an unknown mode': (report) => Object.assign(report, { mode: 'auto' }),
  'a check without a status': (report) => Reflect.deleteProperty(report.checks[0] ?? {}, 'status'),
  'an unknown status': (report) => Object.assign(report.checks[0] ?? {}, { status: 'ok' }),
  'an id with a capital': (report) => Object.assign(report.checks[0] ?? {}, { id: 'Root' }),
  'no checks': (report) => Object.assign(report, { checks: [] }),
  'a disk without its evidence': (report) => Reflect.deleteProperty(report.disks[0] ?? {}, 'evidence'),
  'an impostor without its identity': (report) =>
    Object.assign(report, { impostors: [{ device: '/dev/vdb1', sealedDevice: '/dev/vda1' }] }),
  'no list of impostors': (report) => Reflect.deleteProperty(report, 'impostors'),
  'a size in words': (report) => Object.assign(report.var, { sizeBytes: '256 MiB' }),
  'a time without its zone': (report) => Object.assign(report, { at: '2026-03-04T05:06:07' }),
  'a property that nobody knows': (report) => Object.assign(report, { extra: 1 }),
})) {
  schema(`refuses ${title}`, async () => {
    const report = json(await reportOf(goodGuest()));
    change(report);
    assert.is(validate(report), false);
  });
}

schema('what stands in a report is what was seen', async () => {
  const report = json(await reportOf(goodGuest()));
  assert.equal(
    { ...report, checks: [], disks: [] },
    {
      ...report,
      schema: 1,
      agent: { version },
      host: {
        name: 'guest7',
        kernel: '3.10.0-1160.el7.x86_64',
        os: 'Red Hat Enterprise Linux Server 7.9 (Maipo)',
        bootId: '6ad9c6b3-2c5b-4b0e-9b1f-6d6f0c1f3a52',
      },
      at: '2026-03-04T05:06:07.089Z',
      mode: 'sealed',
      reason: 'disk vda is read-only (virtio-feature)',
      verdict: 'sealed',
      enforcement: 'host',
      var: {
        overlay: true,
        lower: '/run/immutafs/lower',
        upper: '/run/var/upper',
        assembledBy: 'initramfs',
        sizeBytes: 268435456,
        usedBytes: 12582912,
        inodes: 204800,
        inodesUsed: 1000,
        largest: [],
      },
      checks: [],
      disks: [],
    },
  );
  assert.equal(
    report.checks.map(({ id }) => id),
    checks.map(({ id }) => id),
  );
});
schema.run();

const text = suite('text');
const golden = path.join(import.meta.dirname, '../../fixtures/report/failed.txt');
text('is as in the golden file', () => {
  assert.is(formatText(sample, false), fs.readFileSync(golden, 'utf8'));
});

text('what went wrong at boot is said, also where it was mended later', () => {
  const boot = {
    stage: 'initramfs' as const,
    version: '1.2.3',
    at: sample.at,
    ageSeconds: 60,
    says: [],
    warnings: ['/boot: mounted with\x1bnorecovery'],
    errors: ['mount failed: refused'],
  };
  const plain = formatText({ ...sample, boot }, false).split('\n');
  assert.ok(plain.includes('  error of the boot: mount failed: refused'));
  assert.ok(plain.includes('  warning of the boot: /boot: mounted with?norecovery'));
  const quiet = formatText({ ...sample, boot: { ...boot, warnings: [], errors: [] } }, false);
  assert.is(quiet.includes('of the boot:'), false);
});

text('colours are all that --color changes', () => {
  const colored = formatText(sample, true);
  // eslint-disable-next-line no-control-regex -- colours
  const codes = /\x1b\[[0-9;]*m/g;
  assert.ok((colored.match(codes)?.length ?? 0) > 10);
  assert.is(colored.replace(codes, ''), formatText(sample, false));
  assert.is(formatText(sample, false).includes('\x1b'), false);
});

for (const [title, change] of Object.entries<(hostile: string) => Partial<Report>>({
  "the host's name": (hostile) => ({ host: { ...sample.host, name: hostile, os: hostile, kernel: hostile } }),
  'the reason': (hostile) => ({ reason: hostile }),
  'a mount point': (hostile) => ({ disks: sample.disks.map((disk) => ({ ...disk, holds: [hostile] })) }),
  "a disk's evidence": (hostile) => ({ disks: sample.disks.map((disk) => ({ ...disk, evidence: hostile })) }),
  "a disk's name": (hostile) => ({ disks: sample.disks.map((disk) => ({ ...disk, name: hostile })) }),
  'a finding': (hostile) => ({
    checks: sample.checks.map((each) => ({
      ...each,
      subject: hostile,
      observed: hostile,
      expected: hostile,
      remedy: each.remedy === '' ? '' : hostile,
    })),
  }),
})) {
  text(`what drives a terminal is neutralised in ${title}`, () => {
    const hostile = 'a\x1b]0;owned\x07\x9b2J\r\nb\x7f';
    const plain = formatText({ ...sample, ...change(hostile) }, false);
    // eslint-disable-next-line no-control-regex -- they must not be there
    assert.is(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(plain), false);
    assert.is(plain.split('\n').length, formatText(sample, false).split('\n').length);
  });
}
text.run();

const log = suite('journal');
log('an entry a finding, then the verdict', () => {
  const entries: { level: number; message: string; fields: Record<string, string> }[] = [];
  logReport(sample, (level, message, fields) => void entries.push({ level, message, fields }));
  assert.equal(
    entries.map(({ level, message }) => [level, message]),
    [
      [6, 'root-readonly: pass: /x: seen'],
      [3, 'host-enforced: fail: /x: seen To do: Mend it.'],
      [4, 'initramfs-hook: warn: /x: seen'],
      [6, 'other-options: skip: seen'],
      [3, 'mtab-link: error: /x: seen'],
      [3, 'Verdict: failed (disk vda is read-only (virtio-feature))'],
    ],
  );
  const ids = entries.map(({ fields }) => fields['MESSAGE_ID'] ?? '');
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
  assert.is(entries[1]?.fields['IMMUTAFS_CHECK'], 'host-enforced');
  assert.is(entries[1]?.fields['IMMUTAFS_STATUS'], 'fail');
  assert.is(entries.at(-1)?.fields['IMMUTAFS_VERDICT'], 'failed');
});
log.run();

const explained = suite('explain');
for (const { id, documentation } of checks) {
  explained(id, () => {
    const said = explain(id);
    assert.ok(said.startsWith(`${id}: ${documentation.title}\n`));
    assert.ok(
      said.split('\n').every((line) => line.length <= 80),
      said,
    );
    assert.ok(said.endsWith('\n'));
  });
}
explained('a check that there is not', () => {
  assert.throws(
    () => explain('root'),
    (error: unknown) => error instanceof UsageError && /root-readonly/.test(error.message),
  );
});
explained.run();
