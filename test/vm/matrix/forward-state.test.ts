import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Edit } from '../harness/disk.ts';
import { untilAcknowledged, untilState, withForwardingGuest } from '../harness/forwarding-guest.ts';
import { look, statusOf } from '../harness/scenario.ts';

const state = suite('FORWARD_STATE and the journal on a data disk');

/** Prepares the data disk, which is mounted on /home. */
const prepare: Edit = async (_, mounts) => {
  const script = `install -d -m 0700 -o immutafs-forward /home/forward
    mkdir -p /home/journal /var/log/journal
    echo '/home/journal /var/log/journal none bind 0 0' >>/etc/fstab
    echo FORWARD_STATE=/home/forward >>/etc/immutafs/immutafs.conf
    rm /etc/systemd/journald.conf.d/volatile.conf`;
  await mounts.chroot('sh', '-ec', script);
};
/** Waits until the forwarder has its checkpoint, logs a message, and makes it durable on the data disk. */
const mark =
  'for i in $(seq 300); do test -e /home/forward/checkpoint && break; sleep 0.5; done; logger --tag mark before the power cut && journalctl --flush && journalctl --sync && sync && ls /home/journal/*/system.journal /home/forward/checkpoint';

state('power is cut while no server answers: the next boot sends what the boot before has logged', () =>
  withForwardingGuest({ edit: prepare }, async (start, log) => {
    const first = await start({
      steps: { waiting: untilState('waiting'), mark },
      powerCutAfter: 'mark',
    });
    assert.is(first.endedBy, 'power-cut');
    assert.is(first.step('mark').exit, 0, first.step('mark').stderr);

    log.start();
    const second = await start({
      steps: { connected: untilState('connected'), acknowledged: untilAcknowledged, ...look },
    });
    for (const step of ['connected', 'acknowledged']) assert.is(second.step(step).exit, 0, step);
    assert.is(statusOf(second).report.verdict, 'sealed');
    const entries = log.stored('guest').filter(({ data }) => 'cursor' in data);
    const boots = [...new Set(entries.map(({ data }) => data['boot']))];
    assert.is(boots.length, 2, JSON.stringify(boots));
    const marked = entries.filter(({ text }) => text === 'before the power cut');
    assert.equal(
      marked.map(({ data }) => data['boot']),
      [boots[0]],
    );
    assert.is(new Set(entries.map(({ data }) => data['cursor'])).size, entries.length);
  }),
);

state.run();
