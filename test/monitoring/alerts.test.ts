/** Tests the alert rules with promtool, which evaluates them over hours in an instant. */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { guestAlerts, hostAlerts } from '../../monitoring/alerts.ts';
import { staleFiles } from '../../monitoring/generate.ts';
import { documented, runbookOfCheck } from '../../monitoring/runbook.ts';
import { inRoot } from '../../packaging/build/paths.ts';
import { documentedChecks } from '../../agent/checks/documented.ts';
import { inTemporaryDirectory } from '../harness/temporary.ts';
import { type AlertCase, type Series, alertCases } from './alert-cases.ts';

const rules = inRoot('monitoring/alerts.yml');
const alerts = [...guestAlerts, ...hostAlerts];

/** Series, and the samples of ALERTS that they are expected to lead to. */
interface Expectation {
  series: Series;
  samples: unknown[];
}

/** Runs promtool. It reads YAML, of which JSON is a subset. @returns its output; '' if every expectation is met */
function promtool({ alert, at, interval }: AlertCase, ...expectations: readonly Expectation[]): string {
  const expr = `ALERTS{alertname="${alert}",alertstate="firing"}`;
  const tests = expectations.map(({ series, samples }) => ({
    interval,
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [{ expr, eval_time: at, exp_samples: samples }],
  }));
  return inTemporaryDirectory((folder) => {
    const file = path.join(folder, 'test.yml');
    fs.writeFileSync(file, JSON.stringify({ rule_files: [rules], evaluation_interval: interval, tests }));
    const ran = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' });
    return ran.status === 0 ? '' : `${String(ran.error)} ${ran.stdout}${ran.stderr}`;
  });
}

/** Returns the sample of an alert that fires. */
function firing({ alert, labels }: AlertCase): unknown {
  const severity = alerts.find(({ name }) => name === alert)?.severity ?? '';
  const all = { alertname: alert, alertstate: 'firing', severity, ...labels };
  const pairs = Object.entries(all).map(([name, value]) => `${name}="${value}"`);
  return { labels: `ALERTS{${pairs.join(',')}}`, value: 1 };
}

const fires = suite('each alert fires, and its negative twin does not');
for (const each of alertCases) {
  fires(`${each.alert}: ${each.title}`, () => {
    const fires = { series: each.firing, samples: [firing(each)] };
    const staysQuiet = { series: each.quiet, samples: [] };
    assert.is(promtool(each, fires, staysQuiet), '');
  });
}
fires('promtool fails the opposite expectations', () => {
  const [each] = alertCases;
  assert.ok(each);
  assert.match(promtool(each, { series: each.firing, samples: [] }), 'FAILED');
  assert.match(promtool(each, { series: each.quiet, samples: [firing(each)] }), 'FAILED');
});
fires('every alert has a case', () => {
  const tested = new Set(alertCases.map(({ alert }) => alert));
  assert.equal(
    alerts.filter(({ name }) => !tested.has(name)).map(({ name }) => name),
    [],
  );
});
fires.run();

const files = suite('the generated files');
files('are up to date: run npm run monitoring', () => {
  assert.equal(staleFiles(), []);
});
files('promtool accepts the rules', () => {
  execFileSync('promtool', ['check', 'rules', '--lint=all', '--lint-fatal', rules]);
});
files('the names of the alerts are unique', () => {
  const names = alerts.map(({ name }) => name);
  assert.is(new Set(names).size, names.length);
});
files('a runbook has the texts of --explain of every check; an unknown check is an error', () => {
  const chain = runbookOfCheck(documentedChecks, '$labels.check');
  for (const { id, title, why, fix } of documentedChecks) {
    assert.match(chain, `eq $labels.check "${id}" }}${id}: ${title}`);
    assert.match(chain, fix);
    assert.match(documented(documentedChecks, id), why);
  }
  assert.throws(() => documented(documentedChecks, 'no-such-check'), /no check is called no-such-check/);
  const [first] = documentedChecks;
  assert.ok(first);
  const forged = { ...first, fix: 'a {{ b' };
  assert.throws(() => documented([forged], first.id), /begins a template/);
});
files.run();
