/** What would make a guest pass for sealed that is not what it seems, and each time the one check that says so. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Status } from '../../agent/checks/check.ts';
import type { Host } from '../../agent/host.ts';
import { type Change, all, config, file, tryWrite } from '../support/changes.ts';
import { evaluateGuest, goodGuest, withGuest } from '../support/guest.ts';

const user = (host: Host): Host => ({
  ...host,
  environment: () => ({ ...host.environment(), uid: 1000 }),
});
const findingOf = async (id: string, change: Change, as: (host: Host) => Host = (host) => host) => {
  const guest = goodGuest();
  change(guest);
  const report = await withGuest(guest, (host) => evaluateGuest(as(host)));
  const finding = report.checks.find((each) => each.id === id);
  assert.ok(finding, id);
  return { ...finding, verdict: report.verdict };
};

/** By check: [what is changed in a good guest, the status, what is observed]. */
const table: Record<string, Record<string, [Change, Status, (string | RegExp)?]>> = {
  'root-write-probe': {
    'REQUIRE_READONLY is empty: / is tried all the same': [
      all(config('REQUIRE_READONLY=\n'), tryWrite('OK')),
      'fail',
      'a write was accepted',
    ],
    'the same, refused': [config('REQUIRE_READONLY=\n'), 'pass', 'EROFS'],
  },
};

for (const [id, cases] of Object.entries(table)) {
  const checks = suite(`deceptions: ${id}`);
  for (const [title, [change, status, said]] of Object.entries(cases)) {
    checks(title, async () => {
      const finding = await findingOf(id, change);
      assert.is(finding.status, status, finding.observed);
      if (said !== undefined) assert.match(finding.observed, said);
      if (status === 'fail') assert.ok(finding.remedy !== '');
    });
  }
  checks.run();
}

const users = suite('deceptions: who is not root');
const unreadable: Change = file('proc/1/mountinfo', { linkTo: '/nothing' });
users('a namespace is seen without a look at PID 1', async () => {
  const change = all(unreadable, file('proc/self/ns/user', { linkTo: 'user:[4026532000]' }));
  const { status, observed, verdict } = await findingOf('kernel-view', change, user);
  assert.equal([status, verdict], ['error', 'unknown']);
  assert.match(observed, 'another user namespace');
});
users("so is a mount over the kernel's files", async () => {
  const over: Change = ({ mounts }) => {
    mounts['over'] = '0:60 / /proc/cmdline ro - tmpfs tmpfs rw';
  };
  const { status, observed, verdict } = await findingOf('kernel-view', all(unreadable, over), user);
  assert.equal([status, verdict], ['error', 'unknown']);
  assert.match(observed, 'tmpfs is mounted over /proc/cmdline');
});
users.run();
