import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Edit } from '../harness/disk.ts';
import { type LogServer, withLogServer } from '../harness/log-server.ts';
import { type Boot, assertNothingFailed, checkOf, look, statusOf, withAgent } from '../harness/scenario.ts';

const forward = suite('the journal leaves a sealed guest');

const lastWords = 'the last words of a unit that stops late';
const files: Record<string, string> = {
  'etc/systemd/network/server.network':
    '[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nIPv6AcceptRA=no\n',
  // Nothing orders it before or after the forwarder.
  'etc/systemd/system/late.service':
    '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n' +
    `ExecStop=/bin/sh -c 'sleep 3; echo ${lastWords}'\n`,
  'etc/systemd/journald.conf.d/volatile.conf': '[Journal]\nStorage=volatile\n',
  // The journal is still there when all units are stopped: what it says of the two.
  'usr/lib/systemd/system-shutdown/tell':
    '#!/bin/sh\njournalctl -q --no-pager -o short-monotonic -u late -u immutafs-forward >/dev/ttyS0\n',
};

/** The guest as an administrator sets it up: network, certificates, FORWARD. */
function equip({ guestCertificates }: LogServer, peer: string): Edit {
  return async (root, mounts) => {
    for (const folder of ['etc/immutafs/tls', 'etc/systemd/journald.conf.d'])
      mkdirSync(join(root, folder), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(root, file), text, { mode: 0o755 });
    for (const unit of [
      '/etc/systemd/system/late.service',
      '/usr/lib/systemd/system/systemd-networkd.service',
    ]) {
      const name = unit.split('/').at(-1) ?? '';
      symlinkSync(unit, join(root, 'etc/systemd/system/multi-user.target.wants', name));
    }
    for (const file of ['ca.pem', 'guest.pem', 'guest.key'])
      copyFileSync(join(guestCertificates, file), join(root, 'etc/immutafs/tls', file));
    await mounts.chroot('chown', '-R', 'immutafs-forward:', '/etc/immutafs/tls');
    const tls = '/etc/immutafs/tls';
    await appendFile(
      join(root, 'etc/immutafs/immutafs.conf'),
      `FORWARD=relp+tls://10.0.2.2:2514\nFORWARD_CA=${tls}/ca.pem\nFORWARD_CERT=${tls}/guest.pem\n` +
        `FORWARD_KEY=${tls}/guest.key\nFORWARD_PEER=${peer}\n`,
    );
  };
}

/** Until the forwarder says that it is in a state. */
const until = (state: string) =>
  `for i in $(seq 300); do grep -q '"state":"${state}"' /run/immutafs/forward/state.json && exit 0; sleep 1; done; exit 1`;

const server = 'log.example.com';

function withBoth(
  peer: string,
  work: (boot: (options: object) => Promise<Boot>, server: LogServer) => Promise<void>,
) {
  return withLogServer((log) =>
    withAgent({ edit: equip(log, peer) }, (guest) =>
      work(
        (options) =>
          guest.boot({ disk: 'readonly', networkOf: log.networkOf, limitSeconds: 900, ...options }),
        log,
      ),
    ),
  );
}

/** The kernel's first line and the late unit's last words are with the server, each once, in this order. */
function assertWholeBoot(boot: Boot, { stored }: LogServer): void {
  const entries = stored('guest').filter(({ app }) => app !== 'immutafs-agent');
  assert.match(entries[0]?.text ?? 'nothing', /^Linux version /);
  assert.is(entries[0]?.app, 'kernel');
  assert.is(entries.filter(({ text }) => text.startsWith('Linux version ')).length, 1);
  assert.is(entries.filter(({ text }) => text === lastWords).length, 1);
  assert.is(new Set(entries.map(({ data }) => data['cursor'])).size, entries.length);
  assert.match(boot.console, lastWords);
}

forward('a server is there: from the first kernel line to what a unit says as it stops at power-off', () =>
  withBoth(server, async (start, log) => {
    log.start();
    const boot = await start({ steps: { connected: until('connected'), ...look } });
    assert.is(boot.step('connected').exit, 0);
    assert.is(checkOf(statusOf(boot).report, 'forward-healthy').status, 'pass');
    assertNothingFailed(boot);
    assertWholeBoot(boot, log);
  }),
);

forward('the server comes when the guest has long been up: from the first kernel line all the same', () =>
  withBoth(server, async (start, log) => {
    const boot = await start({
      steps: { waiting: until('waiting'), before: look.status, connected: until('connected'), ...look },
      afterStep: { name: 'before', call: log.start },
    });
    assert.is(boot.step('waiting').exit, 0);
    assert.match(
      checkOf(statusOf(boot, 'before').report, 'forward-healthy').observed,
      /not connected.*ECONNREFUSED/,
    );
    assert.is(boot.step('connected').exit, 0);
    assertNothingFailed(boot);
    assertWholeBoot(boot, log);
  }),
);

forward('the server is another one: the guest starts and stops, says why, and tells it nothing', () =>
  withBoth('other.example.com', async (start, log) => {
    log.start();
    const boot = await start({ steps: { waiting: until('waiting'), ...look } });
    assert.is(boot.step('waiting').exit, 0);
    const { observed, status } = checkOf(statusOf(boot).report, 'forward-healthy');
    assert.match(observed, /not connected.*(altnames|other\.example\.com)/);
    assert.is(status, 'warn');
    assertNothingFailed(boot);
    assert.equal(log.stored('guest'), []);
    // The late unit had its say in the guest, and the forwarder did not wait until it was killed.
    assert.match(boot.console, lastWords);
    assert.match(boot.console, /immutafs-forward\.service: (Deactivated successfully|Succeeded)/);
    assert.not.match(boot.console, /timed out/);
    assert.ok(stopSeconds(boot) < 30, boot.console);
  }),
);

/** How long the forwarder took to stop, by the guest's clock. */
function stopSeconds({ console: text }: Boot): number {
  const at = (what: RegExp) => Number(what.exec(text)?.[1] ?? NaN);
  return (
    at(/^\[ *([\d.]+)\].*: Stopped immutafs-forward/m) - at(/^\[ *([\d.]+)\].*: Stopping immutafs-forward/m)
  );
}

forward.run();
