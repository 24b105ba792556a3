/** Tests that the host accepts what the JSON schema of the report accepts, in the fields that it reads. */
import fs from 'node:fs';
import { Ajv, type AnySchema } from 'ajv';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../../packaging/build/paths.ts';
import { runPython } from '../../harness/collection.ts';
import { forward, sample } from '../../harness/sample-report.ts';

const form = suite('the form of a report, on the host');

const schemaFile = inRoot('agent/report/report.schema.json');
const schema = JSON.parse(fs.readFileSync(schemaFile, 'utf8')) as AnySchema;
const isReport = new Ajv({ allowUnionTypes: true }).compile(schema);

const full = { ...sample, forward };

/** Verifies reports as the fleet page does. @returns the problem of each, null without one; and the fields that are read */
function verify(reports: readonly unknown[]): { problems: (string | null)[]; fields: string[] } {
  const program = `import json, sys
from ansible_collections.immutafs.agent.plugins.plugin_utils.report import FIELDS, problem_of
print(json.dumps({"problems": [problem_of(each) for each in json.load(sys.stdin)], "fields": FIELDS}))`;
  return runPython(program, reports) as ReturnType<typeof verify>;
}

/** Applies `change` to the object that has the field, or to the first one in a list. @returns the changed report */
function changed(field: string, change: (owner: Record<string, unknown>, key: string) => void): unknown {
  const report = structuredClone(full);
  const keys = field.split('.');
  let owner: unknown = report;
  for (const key of keys.slice(0, -1)) {
    owner = (owner as Record<string, unknown>)[key];
    if (Array.isArray(owner)) [owner] = owner as unknown[];
  }
  const key = keys.at(-1);
  assert.ok(key !== undefined && owner !== null && typeof owner === 'object' && key in owner, field);
  change(owner as Record<string, unknown>, key);
  return report;
}

const values = [
  ...[null, true, 0, -1, 1.5, 2 ** 60, [], ['x'], [7], {}, [{}]],
  ...['', 'x', 'sealed', 'a\n', 'x'.repeat(65), 'É'],
  ...['2026-03-04T05:06:07Z', '2026-03-04T05:06:07Z\n', '2026-03-04T05:06Z', '２026-02-03T00:00:00Z'],
];

form('each field that is read: the host decides about a value as the schema does', () => {
  const { fields } = verify([]);
  // The objects and lists that contain the fields are read, too.
  const all = new Set(
    fields.flatMap((field) => field.split('.').map((_, i, keys) => keys.slice(0, i + 1).join('.'))),
  );
  const cases = [...all].flatMap((field) => [
    ...values.map((value) => ({
      field,
      value,
      report: changed(field, (owner, key) => (owner[key] = value)),
    })),
    { field, value: undefined, report: changed(field, (owner, key) => delete owner[key]) },
  ]);
  const { problems } = verify(cases.map(({ report }) => report));
  const named = (kept: typeof cases) => kept.map(({ field, value }) => `${field}: ${JSON.stringify(value)}`);
  const accepted = named(cases.filter((_, index) => problems[index] === null));
  assert.equal(accepted, named(cases.filter(({ report }) => isReport(report) === true)));
  // Some values of each kind are accepted, so the comparison is not one of empty lists.
  assert.ok(accepted.length > all.size && accepted.length < cases.length / 2, String(accepted.length));
});

form('says what is wrong, and where', () => {
  const vda = sample.disks[0];
  const cases: [report: unknown, problem: string | null][] = [
    [sample, null],
    [{ ...sample, new: 1, disks: [{ ...vda, new: 1 }], var: { ...sample.var, usedBytes: 'x' } }, null],
    [7, 'the report is not of type object'],
    [{ ...sample, forward: undefined }, 'forward is missing'],
    [
      { ...sample, verdict: 'good' },
      'verdict is none of sealed, unenforced, rehearsal, failed, maintenance, off, unknown',
    ],
    [
      { ...sample, disks: [vda, { ...vda, hostReadOnly: 1 }] },
      'disks[1].hostReadOnly is not of type boolean or null',
    ],
    [{ ...sample, disks: [{ ...vda, bus: 'a b' }] }, 'disks[0].bus has an invalid value'],
    [{ ...sample, checks: Array(1001).fill(sample.checks[0]) }, 'checks has more than 1000 elements'],
  ];
  assert.equal(
    verify(cases.map(([report]) => report)).problems,
    cases.map(([, problem]) => problem),
  );
});

form.run();
