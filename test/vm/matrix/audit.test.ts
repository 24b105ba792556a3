import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  assertWholeBoot,
  untilForwarder,
  untilState,
  withForwardingGuest,
} from '../harness/forwarding-guest.ts';
import { receivedBy } from '../harness/log-server.ts';
import { assertFailing, assertNothingFailed, checkOf, look, statusOf } from '../harness/scenario.ts';
import { shared } from '../harness/shared.ts';
import { recordsOf, session } from './audit-trail.ts';

/**
 * Tests a guest in which the forwarder may not read the audit trail, and whose server starts after the guest. The
 * counterpart is `smoke/forward.test.ts`.
 */
const audit = suite(
  'a sealed guest forwards late: its journal when the server starts, its audit trail when permitted',
);

const connected = untilState('connected');
const sealedSteps = { waiting: untilState('waiting'), before: look.status, connected, ...look };
const maintenanceSteps = {
  connected,
  apply: 'immutafs-agent prepare --only audit --apply --yes',
  readable: untilForwarder('"lostBytes":0,"error":""'),
  group: 'grep ^log_group /etc/audit/auditd.conf',
  folder: 'stat -c %G /var/log/audit',
  session,
  rest: 'immutafs-agent prepare --only audit',
};

/** Boots the guest sealed, and then in maintenance mode. */
const boots = shared(() =>
  withForwardingGuest({ logGroup: 'root' }, async (start, log) => {
    const afterStep = { name: 'before', call: log.start };
    const sealed = { boot: await start({ steps: sealedSteps, afterStep }), received: receivedBy(log) };
    const steps = { ...maintenanceSteps, ...look };
    const maintenance = { boot: await start({ disk: 'writable', steps }), received: receivedBy(log) };
    return { sealed, maintenance };
  }),
);

audit(
  'the server starts after the guest: it still receives everything from the first kernel line',
  async () => {
    const { boot, received } = (await boots()).sealed;
    assert.is(boot.step('waiting').exit, 0);
    assert.match(
      checkOf(statusOf(boot, 'before').report, 'forward-healthy').observed,
      /not connected.*ECONNREFUSED/,
    );
    assert.is(boot.step('connected').exit, 0);
    assertNothingFailed(boot);
    assertWholeBoot(boot, received);
  },
);

audit(
  'log_group = root: the check fails and names the command that fixes it in a maintenance boot',
  async () => {
    const { boot, received } = (await boots()).sealed;
    assertFailing(boot, 'status', ['audit-forwarded']);
    const { observed, remedy } = checkOf(statusOf(boot).report, 'audit-forwarded');
    assert.match(observed, /cannot read it: .*permission denied/i);
    assert.match(remedy, 'immutafs-agent prepare --only audit --apply');
    assert.equal(recordsOf(received), []);
  },
);

audit('in a maintenance boot, this command lets the forwarder read the trail', async () => {
  const { boot, received } = (await boots()).maintenance;
  for (const step of Object.keys(maintenanceSteps))
    assert.is(boot.step(step).exit, 0, `${step}: ${boot.step(step).stdout} ${boot.step(step).stderr}`);
  assert.is(boot.step('group').stdout, 'log_group = immutafs-forward\n');
  assert.is(boot.step('folder').stdout, 'immutafs-forward\n');
  assert.is(checkOf(statusOf(boot).report, 'audit-forwarded').status, 'pass');
  assert.ok(recordsOf(received).some(({ id }) => id === 'USER_START'));
});

audit.run();
