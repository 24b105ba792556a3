import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Edit } from './disk.ts';
import type { Boot, BootOptions } from './guest.ts';
import { type LogServer, withLogServer } from './log-server.ts';
import { labelFiles } from './mounts.ts';
import { type Layout, editFile, withAgent } from './scenario.ts';

/** The last message of a unit that stops late in the shutdown. */
export const lastWords = 'the last words of a unit that stops late';
const files: Record<string, string> = {
  'etc/systemd/network/server.network':
    '[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nIPv6AcceptRA=no\n',
  // This unit has no order relative to the forwarder.
  'etc/systemd/system/late.service':
    '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n' +
    `ExecStop=/bin/sh -c 'sleep 3; echo ${lastWords}'\n` +
    'StandardOutput=journal+console\n',
  'etc/systemd/journald.conf.d/volatile.conf': '[Journal]\nStorage=volatile\n',
  // This script runs after all units have stopped, while the journal can still be read. Under SELinux, it cannot read it.
  'usr/lib/systemd/system-shutdown/tell':
    '#!/bin/sh\njournalctl -q --no-pager -o short-monotonic -u immutafs-forward >/dev/ttyS0\n' +
    // Waits until the output is transmitted, because the machine is switched off next.
    'stty -F /dev/ttyS0 -echo\n',
};

/** The options of a guest that forwards. */
interface Options {
  /** The name that the guest expects in the server's certificate. */
  peer?: string;
  /** `log_group` in auditd.conf. The default is the forwarder's group, which the step `audit` of `prepare` sets. */
  logGroup?: string;
  /** Changes the disks further. */
  edit?: Edit;
  layout?: Layout;
  /** The tree of the guest, if it is not the usual one with the agent. */
  tree?: string;
}

/** Sets up network, certificates, FORWARD and auditd, as an administrator does. */
function equip({ guestCertificates }: LogServer, options: Options): Edit {
  const { peer = serverName, logGroup = 'immutafs-forward' } = options;
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
    await editFile(join(root, 'etc/audit/auditd.conf'), (text) =>
      text.replace(/^log_group = .*$/m, `log_group = ${logGroup}`),
    );
    await mounts.chroot('chgrp', logGroup, '/var/log/audit');
    // Files that were created here have no labels, which services of an enforcing guest cannot read.
    await labelFiles(mounts, '/etc', '/usr/lib/systemd', '/var/log/audit');
    await options.edit?.(root, mounts);
  };
}

/** Returns a step that waits until a file of the guest contains a text. */
export const untilContains = (file: string, text: string) =>
  `for i in $(seq 600); do grep -qF '${text}' ${file} && exit 0; sleep 0.5; done; exit 1`;

/** Returns a step that waits until the forwarder's state, which it writes once a second at most, contains a text. */
export const untilForwarder = (text: string) => untilContains('/run/immutafs/forward/state.json', text);

/** Returns a step that waits until the forwarder is in a state. */
export const untilState = (state: string) => untilForwarder(`"state":"${state}"`);

/** Waits until the server has acknowledged every entry of the journal and every line of the log files. */
export const untilAcknowledged = untilForwarder('"lag":{"entries":0,');

/** The name in the server's certificate. */
const serverName = 'log.example.com';

/** Calls `work` with a log server that is not started yet, and a function that boots a guest which forwards to it. */
export function withForwardingGuest<T>(
  options: Options,
  work: (boot: (options: Partial<BootOptions>) => Promise<Boot>, server: LogServer) => Promise<T>,
): Promise<T> {
  return withLogServer((log) =>
    withAgent({ ...options, edit: equip(log, options) }, (guest) =>
      work(
        (boot) =>
          guest.boot({
            disk: 'readonly',
            allUnits: true,
            networkOf: log.networkOf,
            limitSeconds: 500,
            ...boot,
          }),
        log,
      ),
    ),
  );
}

/** Asserts that the server stored the kernel's first line and the late unit's last message once each, in this order. */
export function assertWholeBoot(boot: Boot, { stored }: Pick<LogServer, 'stored'>): void {
  const entries = stored('guest').filter(({ app, data }) => app !== 'immutafs-agent' && 'cursor' in data);
  const first = entries
    .slice(0, 5)
    .map(({ text }) => text)
    .join('\n');
  assert.match(first, /^Linux version /, first);
  assert.is(entries[0]?.app, 'kernel');
  assert.is(entries.filter(({ text }) => text.startsWith('Linux version ')).length, 1);
  assert.is(entries.filter(({ text }) => text === lastWords).length, 1);
  assert.is(new Set(entries.map(({ data }) => data['cursor'])).size, entries.length);
  assert.match(boot.console, lastWords, boot.console.slice(-2000));
}
