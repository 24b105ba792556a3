import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checks, evaluate } from '../../../agent/checks/index.ts';
import { assess } from '../../../agent/assess/assess.ts';
import { gatherFacts } from '../../../agent/facts/facts.ts';
import { exitCode } from '../../../agent/report/report.ts';
import { edit } from '../../harness/changes.ts';
import { goodGuest, maintenanceGuest, withGuest, evaluateFixture } from '../../harness/guest.ts';

const good = suite('all checks of a guest without problems');
good('sealed: no check fails, warns or is an error', async () => {
  const report = await evaluateFixture(goodGuest());
  const bad = report.checks.filter(({ status }) => status !== 'pass' && status !== 'skip');
  assert.equal(bad, []);
  assert.equal(
    report.checks
      .filter(({ status }) => status === 'skip')
      .map(({ id }) => id)
      .filter((id) => id === 'other-options'),
    ['other-options'],
  );
  assert.equal(
    [report.mode, report.verdict, report.enforcement, exitCode(report)],
    ['sealed', 'sealed', 'host', 0],
  );
});

good('maintenance: the checks of the seal are skipped, the others pass', async () => {
  const report = await evaluateFixture(maintenanceGuest());
  const bad = report.checks.filter(({ status }) => status !== 'pass' && status !== 'skip');
  assert.equal(bad, []);
  for (const { id, seal } of checks.filter((each) => each.seal)) {
    assert.is(report.checks.find((finding) => finding.id === id)?.status, 'skip', `${id} ${seal}`);
  }
  const { mode, verdict, enforcement } = report;
  assert.equal([mode, verdict, enforcement, exitCode(report)], ['maintenance', 'maintenance', 'none', 4]);
});

good('maintenance: a check that is not about the seal still fails', async () => {
  const guest = maintenanceGuest();
  edit('tmp', 'noexec,', '')(guest);
  const report = await evaluateFixture(guest);
  assert.equal([report.mode, report.verdict, exitCode(report)], ['maintenance', 'failed', 1]);
});
good.run();

const list = suite('the list of checks');
list('ids are unique and of the form of the schema', () => {
  const ids = checks.map(({ id }) => id);
  assert.is(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[a-z][a-z-]*$/);
});

list('message ids are 128 bits and unique', () => {
  const ids = checks.map(({ messageId }) => messageId);
  assert.is(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
});

list('a check that throws is an error, and the others still run', async () => {
  const [first] = checks;
  assert.ok(first);
  const thrower = {
    ...first,
    id: 'thrower',
    evaluate: () => {
      throw new TypeError('oops');
    },
  };
  await withGuest(goodGuest(), async (reader) => {
    const facts = assess(await gatherFacts(reader));
    const [one, two] = evaluate(facts, [thrower, first]);
    assert.equal([one?.status, one?.observed, two?.status], ['error', 'oops', 'pass']);
  });
});
list.run();
