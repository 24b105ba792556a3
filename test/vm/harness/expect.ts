import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { repository } from './cache.ts';
import type { Boot } from './guest.ts';

const schema = JSON.parse(
  readFileSync(join(repository, 'agent/report/report.schema.json'), 'utf8'),
) as object;
const matchesSchema = new Ajv({ allErrors: true, strict: false }).compile(schema);

/** Result of a `status --json` step. */
export interface Status {
  exit: number;
  report: Report;
}

/**
 * Reads a step of `immutafs-agent status --json`.
 *
 * @param says the expected stderr
 * @throws if the report does not match the schema
 */
export function statusOf(boot: Boot, step = 'status', says = /^$/): Status {
  const { exit, stdout, stderr } = boot.step(step);
  assert.match(stderr, says, `${step} wrote to stderr: ${stderr}`);
  const report = JSON.parse(stdout) as Report;
  if (!matchesSchema(report)) assert.unreachable(`${step}: ${JSON.stringify(matchesSchema.errors)}`);
  return { exit, report };
}

/** Asserts that the host seals the guest, that every required check passed, and that no unit failed. */
export function assertSealed(boot: Boot): Report {
  const { exit, report } = statusOf(boot);
  const wrong = notPassed(report).map((id) => checkOf(report, id));
  assert.equal(wrong, []);
  const { verdict, mode, enforcement } = report;
  assert.equal(
    { verdict, mode, enforcement, exit },
    { verdict: 'sealed', mode: 'sealed', enforcement: 'host', exit: 0 },
  );
  assert.is(report.var.overlay, true);
  assertNothingFailed(boot);
  return report;
}

/** Asserts that systemd has no failed unit (step `failed`) and that the guest powered off cleanly. */
export function assertNothingFailed(boot: Boot): void {
  assert.is(boot.step('failed').stdout, '');
  assert.is(boot.endedBy, 'poweroff');
}

/** Asserts that exactly these required checks fail, each with a remedy, and asserts the exit code. */
export function assertFailing(boot: Boot, step: string, ids: string[], exit = 1): void {
  const status = statusOf(boot, step);
  assert.equal(notPassed(status.report), ids, `${step}: the checks that fail`);
  assert.is(status.report.verdict, ids.length > 0 ? 'failed' : 'sealed', `${step}: the verdict`);
  assert.is(status.exit, exit, `${step}: the exit code`);
  for (const id of ids) assert.ok(checkOf(status.report, id).remedy.length > 0, `${id} has a remedy`);
}

/** Returns the finding of a check. @throws if the report has no such check */
export function checkOf(report: Report, id: string): Report['checks'][number] {
  const found = report.checks.find((check) => check.id === id);
  if (!found) throw new Error(`no check ${id}`);
  return found;
}

/** Returns the IDs of the required checks with status `fail` or `error`. */
export function notPassed(report: Report): string[] {
  return report.checks
    .filter(({ severity, status }) => severity === 'required' && (status === 'fail' || status === 'error'))
    .map(({ id }) => id);
}
