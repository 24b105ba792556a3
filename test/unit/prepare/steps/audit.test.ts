import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SystemWriter } from '../../../../agent/system/writer.ts';
import { auditd, auditdText } from '../../../harness/auditd.ts';
import { type Box, tree, withBox } from '../../../harness/prepare-box.ts';
import { type Files, guestWith, table } from '../../../harness/step-table.ts';
import { errorOf } from '../../../harness/rejection.ts';

const forward = 'relp+tls://log.example:6514';
/** The group of the test's own files, so that it counts as the group of the logs. */
const gid = process.getgid?.() ?? 0;
const other = gid + 1;
const groups = (members = '', name = 'immutafs-forward', id = other) =>
  `root:x:0:\nadm:x:${other + 1}:${members}\n${name}:x:${id}:\n`;
const hasGroups = (...given: Parameters<typeof groups>) => ({ 'etc/group': groups(...given) });
const isOurs = hasGroups('', 'immutafs-forward', gid);
const logs: Files = { 'var/log/audit/audit.log': 'x', 'var/log/audit/audit.log.1': 'x' };

/** Returns a guest that forwards its logs, with log_group in auditd.conf and an existing log. */
function forwarding(group: string | undefined, files: Files = {}, text?: string): Files {
  const conf = text ?? auditdText({ log_group: group });
  return { ...auditd({}, '256m', { forward, text: conf }), 'etc/group': groups(), ...logs, ...files };
}
const running: Files = { 'run/auditd.pid': '700\n', 'proc/700/comm': 'auditd\n' };
const reload = '/bin/systemctl kill --kill-who=main --signal=SIGHUP auditd.service';
const permissions = ['/bin/chgrp -R immutafs-forward /var/log/audit', '/bin/chmod -R g+rX /var/log/audit'];
const edit = 'edit /etc/audit/auditd.conf: log_group = immutafs-forward';
const changes = [edit, ...permissions];

table('audit: log_group', 'audit', {
  'needed: root': [forwarding('root'), /Only root can read/, changes],
  'needed: absent': [forwarding(undefined), /Only root can read/, changes],
  'needed: 0': [forwarding('0'), /Only root can read/, changes],
  'needed: absent, and auditd runs': [forwarding(undefined, running), [edit, reload, ...permissions]],
  'needed: absent, and there is no log': [
    forwarding(undefined, Object.fromEntries(Object.keys(logs).map((log) => [log, undefined]))),
    [edit],
  ],
  'needed: absent, and the log is in another directory': [
    forwarding(undefined, {}, auditdText({ log_file: '/var/log/other/audit.log' })),
    [edit],
  ],
  'needed: of the forwarder, but the log is not readable': [
    forwarding('immutafs-forward'),
    /cannot read/,
    permissions,
  ],
  'needed: of the forwarder, but the log is not readable, and auditd runs': [
    forwarding('immutafs-forward', running),
    /cannot read/,
    [reload, ...permissions],
  ],
  'needed: of the forwarder, by its number': [
    forwarding(String(other)),
    /log_group in \S+ is \d+, but the group immutafs-forward cannot read/,
    permissions,
  ],
  'done: of the forwarder': [
    forwarding('immutafs-forward', isOurs),
    /The forwarder can read the audit log\./,
  ],
  'by hand: another one': [
    forwarding('adm'),
    /`gpasswd -a immutafs-forward adm`, then `systemctl restart immutafs-forward\.service`/,
  ],
  'by hand: another one, by its number': [forwarding(String(other + 1)), /`gpasswd -a immutafs-forward adm`/],
  'by hand: another one, which /etc/group does not list': [
    forwarding('ldap'),
    /`gpasswd -a immutafs-forward ldap`/,
  ],
  'by hand: another one, and /etc/group lists neither it nor the group of the forwarder': [
    forwarding('ldap', { 'etc/group': 'root:x:0:\n' }),
    /`gpasswd -a immutafs-forward ldap`/,
  ],
  'by hand: another one, with other members': [
    forwarding('adm', hasGroups('bob,immutafs-forwarder')),
    /gpasswd/,
  ],
  'done: another one, with the forwarder as a member': [
    forwarding('adm', hasGroups('bob,immutafs-forward')),
    /as a member of the group adm/,
  ],
  'done: another one, which is the primary group of the forwarder': [
    forwarding('adm', { 'etc/passwd': `immutafs-forward:x:990:${other + 1}::/:/sbin/nologin\n` }),
    /as a member of the group adm/,
  ],
  'done: another one, which is the primary group of the forwarder, with a leading zero': [
    forwarding('adm', { 'etc/passwd': `immutafs-forward:x:990:0${other + 1}::/:/sbin/nologin\n` }),
    /as a member of the group adm/,
  ],
  'by hand: root, and the group of the forwarder does not exist': [
    forwarding('root', hasGroups('', 'immutafs-forward2')),
    /\/etc\/group has no group immutafs-forward.*groupadd/,
  ],
  'by hand: of the forwarder, which does not exist': [
    forwarding('immutafs-forward', { 'etc/group': undefined }),
    /\/etc\/group has no group immutafs-forward/,
  ],
  'done: root, but nothing is forwarded': [
    { ...forwarding('root'), ...auditd({ log_group: 'root' }, '256m') },
    /FORWARD in \S+ names no server: a sealed guest loses the audit trail in \/var\/log\/audit at every reboot/,
  ],
  'done: root, nothing is forwarded, and the log is on another disk': [
    { ...forwarding('root'), ...auditd({ log_file: '/home/audit/audit.log' }, '256m') },
    /^\/home\/audit\/audit\.log is not in the overlay on \/var\.$/,
  ],
  'needed: root, and a limit that the administrator must lower': [
    { ...forwarding('root'), ...auditd({}, '64m', { forward }) },
    /Only root.*may grow to 40 MiB/,
    changes,
  ],
  'needed: root, and a size that cannot work: one edit': [
    { ...forwarding('root'), ...auditd({ num_logs: '2' }, '50m', { forward }) },
    /Only root.*50 cannot work/,
    ['edit /etc/audit/auditd.conf: admin_space_left = 2; log_group = immutafs-forward', ...permissions],
  ],
});

table('audit: a file that auditd cannot read is not changed', 'audit', {
  'by hand: Windows line ends': [
    forwarding('root', {}, auditdText().replaceAll('\n', '\r\n')),
    /line 2 ends with a carriage return.*further lines/,
  ],
  'by hand: a link': [
    forwarding('root', { 'etc/audit/auditd.conf': { linkTo: '/etc/audit/other' } }),
    /not a regular file/,
  ],
});

const applying = suite('audit: --apply and --undo');
const apply = { only: ['audit' as const], skip: [], apply: true, yes: true };

/** Returns a writer whose programs are recorded; chmod changes the mode, as in reality. */
function recording({ root, writer }: Box, ran: string[]): SystemWriter {
  const run: SystemWriter['run'] = (program, args) => {
    ran.push([program, ...args].join(' '));
    if (program === '/bin/chmod') fs.chmodSync(path.join(root, 'var/log/audit'), 0o750);
    return Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false });
  };
  return { ...writer, run };
}

const guest = () => guestWith(forwarding(undefined, { ...running, ...isOurs }));

applying('auditd.conf changes and is restored byte for byte, with its mode', () =>
  withBox(guest(), async (box) => {
    const { root, prepare, actionLog } = box;
    fs.chmodSync(path.join(root, 'var/log/audit'), 0o700);
    fs.chmodSync(path.join(root, 'etc/audit/auditd.conf'), 0o640);
    fs.utimesSync(path.join(root, 'etc/audit/auditd.conf'), 1e9, 1e9);
    const before = tree(root)['etc/audit/auditd.conf'];
    const ran: string[] = [];
    const writer = recording(box, ran);
    const applied = await prepare(apply, writer);
    assert.is(applied.code, 0, applied.stdout);
    assert.equal(ran, [reload, ...permissions]);
    const conf = fs.readFileSync(path.join(root, 'etc/audit/auditd.conf'), 'latin1');
    assert.is(conf, `${auditdText()}log_group = immutafs-forward\n`);
    assert.equal(
      actionLog().map(({ action }) => action.do),
      ['edit', 'run', 'run', 'run'],
    );
    const undone = await prepare({ undo: true });
    assert.is(undone.code, 0, undone.stdout);
    assert.match(undone.stdout, `until it reads the restored /etc/audit/auditd.conf: run \`systemctl kill`);
    assert.is(tree(root)['etc/audit/auditd.conf'], before);
  }),
);
applying('after an interruption, auditd reads its configuration, and the permissions change', () =>
  withBox(guest(), async (box) => {
    const { root, prepare } = box;
    fs.chmodSync(path.join(root, 'var/log/audit'), 0o700);
    const interrupted: SystemWriter['run'] = () =>
      Promise.resolve({ exit: 1, stdout: '', stderr: 'killed', late: false });
    const error = await errorOf(prepare(apply, { ...box.writer, run: interrupted }));
    assert.match(error.message, 'killed');
    const ran: string[] = [];
    const { code, stdout } = await prepare(apply, recording(box, ran));
    assert.is(code, 0, stdout);
    assert.equal(ran, [reload, ...permissions]);
  }),
);
applying.run();
