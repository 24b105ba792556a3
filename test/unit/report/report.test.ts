import fs from 'node:fs';
import path from 'node:path';
import { type AnySchema, Ajv } from 'ajv';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checks } from '../../../agent/checks/index.ts';
import { type Report, decideVerdict, exitCode } from '../../../agent/report/report.ts';
import { version } from '../../../agent/lib/version.ts';
import { el7Guest } from '../../harness/el7-guest.ts';
import { finding, sample } from '../../harness/sample-report.ts';
import { parseConfig } from '../../../agent/config/config.ts';
import { evaluateGuest } from '../../../agent/evaluate.ts';
import { withControls } from '../../../agent/report/controls.ts';
import {
  bootEnv,
  goodGuest,
  maintenanceGuest,
  rehearsalGuest,
  withGuest,
  evaluateFixture,
} from '../../harness/guest.ts';
import { formatPrometheus } from '../../../agent/report/prometheus.ts';
import { formatText } from '../../../agent/report/text.ts';

const ofConfig = finding('fail', 'required', 'config-valid');
const elsewhere = finding('error', 'required', 'kernel-view');
const unverified = finding('skip', 'required', 'kernel-view');
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
  ['the configuration, in a view that is not the guest', 'sealed', [ofConfig, elsewhere], 'unknown', 3],
  ['only the configuration', 'sealed', [ofConfig], 'failed', 2],
  ['the configuration and more', 'sealed', [ofConfig, finding('fail')], 'failed', 1],
  ['a failure in a view that is not the guest', 'sealed', [elsewhere, finding('fail')], 'unknown', 3],
  ['the same in maintenance', 'maintenance', [finding('fail'), elsewhere], 'unknown', 3],
  ['a view that was not verified', 'sealed', [unverified, finding('fail')], 'failed', 1],
] as const) {
  verdict(title, () => {
    const got = decideVerdict({ mode }, findings);
    assert.is(got, expected);
    const report = { verdict: got, checks: [...findings] } as Report;
    assert.is(exitCode(report), code);
  });
}
for (const [findings, expected, code] of [
  [[finding('pass'), finding('warn', 'required', 'host-enforced')], 'rehearsal', 4],
  [[finding('fail')], 'failed', 1],
  [[finding('error')], 'unknown', 3],
] as const) {
  verdict(`in a rehearsal: ${expected}`, () => {
    const got = decideVerdict({ mode: 'sealed', rehearsal: { limitSeconds: 60 } }, findings);
    assert.is(got, expected);
    assert.is(exitCode({ verdict: got, checks: [...findings] } as Report), code);
  });
}
for (const [status, mode, expected, code] of [
  ['pass', 'sealed', 'sealed', 0],
  ['warn', 'sealed', 'unenforced', 4],
  ['fail', 'sealed', 'failed', 1],
  ['skip', 'maintenance', 'maintenance', 4],
] as const) {
  verdict(`in the mode ${mode}, host-enforced is ${status}: ${expected}`, () => {
    const findings = [finding('pass'), finding(status, 'required', 'host-enforced')];
    const got = decideVerdict({ mode }, findings);
    assert.is(got, expected);
    assert.is(exitCode({ verdict: got, checks: findings } as Report), code);
  });
}
verdict(
  'a rehearsal: the guest enforces, never the host; host-enforced warns and names no failure',
  async () => {
    const report = await evaluateFixture(rehearsalGuest());
    const { mode, verdict: word, enforcement, rehearsal, reason } = report;
    assert.equal([mode, word, enforcement], ['sealed', 'rehearsal', 'guest']);
    assert.match(reason, /^rehearsal/);
    assert.is(rehearsal?.limitSeconds, 1800);
    assert.is(report.checks.find(({ id }) => id === 'host-enforced')?.status, 'warn');
    assert.is(exitCode(report), 4);
  },
);
verdict('boot.env cannot turn a guest that its host sealed into a rehearsal', async () => {
  const guest = goodGuest();
  guest.files['run/immutafs/boot.env'] = bootEnv({ REHEARSAL: '1800' });
  const report = await evaluateFixture(guest);
  assert.equal([report.verdict, report.rehearsal], ['sealed', null]);
});
verdict('a writable disk without a rehearsal is not excused', async () => {
  const guest = rehearsalGuest();
  guest.files['run/immutafs/boot.env'] = bootEnv({ DISKS: 'vda:0:none' });
  const report = await evaluateFixture(guest);
  assert.equal([report.verdict, report.rehearsal, exitCode(report)], ['failed', null, 1]);
});
verdict('disks that cannot be examined do not turn a sealed guest into maintenance', async () => {
  const guest = maintenanceGuest();
  const report = await withGuest(guest, (reader) => {
    const resolve = (each: string) => {
      if (each.startsWith('/sys/')) throw new Error('no');
      return reader.resolve(each);
    };
    return evaluateGuest({ ...reader, resolve });
  });
  assert.equal([report.mode, report.disks], ['sealed', []]);
});

verdict('enforcement is partial if the host made one of two system disks read-only', async () => {
  const guest = goodGuest();
  guest.devices[2] = { name: 'dm-0', device: '253:0', on: ['vda2', 'vdb'], readOnly: true };
  assert.is((await evaluateFixture(guest)).enforcement, 'partial');
});
verdict.run();

const schemaFile = path.join(import.meta.dirname, '../../../agent/report/report.schema.json');
const validate = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true }).compile(
  JSON.parse(fs.readFileSync(schemaFile, 'utf8')) as AnySchema,
);
/** Returns the report as a program reads it from report.json. */
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
  rehearsal: rehearsalGuest(),
  'without the hook': withoutHook,
  'with errors': damaged,
  'with impostors': el7Guest('clone-second'),
  'of a copy': el7Guest('clone-first'),
})) {
  schema(`describes a report: ${title}`, async () => {
    const report = json(await evaluateFixture(guest));
    assert.is(validate(report), true, JSON.stringify(validate.errors));
  });
}

schema('describes the result of controls', async () => {
  const report = withControls(await evaluateFixture(goodGuest()), parseConfig('').config);
  assert.is(validate(json(report)), true, JSON.stringify(validate.errors));
});

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
  'an unknown property': (report) => Object.assign(report, { extra: 1 }),
})) {
  schema(`rejects ${title}`, async () => {
    const report = json(await evaluateFixture(goodGuest()));
    change(report);
    assert.is(validate(report), false);
  });
}

schema('a report holds the observed values', async () => {
  const report = json(await evaluateFixture(goodGuest()));
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
      var: sample.var,
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

/** The image of a guest (/etc/immutafs/image) in each format of the report. */

const view = { all: false, color: false, columns: 100 };
const reportWith = (text?: string) => {
  const guest = goodGuest();
  if (text !== undefined) guest.files['etc/immutafs/image'] = text;
  return evaluateFixture(guest);
};

const shown = suite('the image in the report');

shown('named: in the text, in JSON and as a metric', async () => {
  const report = await reportWith('NAME=rhel9-web\nVERSION=2026.11\nBUILT=2026-03-04T05:06:07Z\n');
  assert.equal(report.image, { name: 'rhel9-web', version: '2026.11', built: '2026-03-04T05:06:07Z' });
  assert.equal(report.imageWarnings, []);
  assert.match(formatText(report, view), '\nImage rhel9-web 2026.11, built at 2026-03-04T05:06:07Z\n');
  assert.match(formatPrometheus(report), 'immutafs_image_info{name="rhel9-web",version="2026.11"} 1\n');
});

shown('not named: nowhere', async () => {
  const report = await reportWith();
  assert.is(report.image, null);
  assert.equal(report.imageWarnings, []);
  assert.not.match(formatText(report, view), /^(Image|Warning)/m);
  assert.not.match(formatPrometheus(report), 'image_info');
});

shown('malformed: a warning, and the same exit code', async () => {
  const report = await reportWith('NAME=rhel9 web\nVERSION=1\nBUILT=2026-03-04T05:06:07Z\n');
  assert.is(report.image, null);
  assert.match(
    formatText(report, { ...view, columns: 300 }),
    /^Warning: \/etc\/immutafs\/image:1: NAME: must be at most 128/m,
  );
  assert.not.match(formatPrometheus(report), 'image_info{');
  assert.is(exitCode(report), 0);
});

shown.run();
