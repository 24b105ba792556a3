/** Tests `prepare --only audit` with the real permissions of a log, in a small system without a running auditd. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { auditdText } from '../harness/auditd.ts';
import { inSmallSystem } from '../harness/small-system.ts';

const audit = suite('prepare: the audit log');

/** Creates auditd's files as RHEL's package does; `forwarder` runs a program with the forwarder's group. */
const setUp = `
  mkdir -p /etc/audit /etc/systemd/system/multi-user.target.wants; mkdir -p -m 0700 /var/log/audit
  printf '%s' '${auditdText()}' >/etc/audit/auditd.conf; chmod 0640 /etc/audit/auditd.conf
  ln -s /usr/lib/systemd/system/auditd.service /etc/systemd/system/multi-user.target.wants/
  for log in audit.log audit.log.1; do echo $log >/var/log/audit/$log; done
  chmod 0600 /var/log/audit/audit.log; chmod 0400 /var/log/audit/audit.log.1
  sed -i '/^immutafs-forward:/d' /etc/group; echo immutafs-forward:x:4321: >>/etc/group
  echo FORWARD=relp://127.0.0.1:2514 >>/etc/immutafs/immutafs.conf; echo VAR_SIZE=256m >>/etc/immutafs/immutafs.conf
  cp -p /etc/audit/auditd.conf /run/auditd.conf
  forwarder() { setpriv --reuid 4321 --regid 4321 --clear-groups "$@"; }
  modes() { stat -c '%a %U:%G %n' /var/log/audit /var/log/audit/*; }`;

audit('--apply lets the forwarder read it, and --undo restores auditd.conf byte for byte', () => {
  const { code, stdout, stderr } = inSmallSystem(`${setUp}
    forwarder cat /var/log/audit/audit.log 2>/dev/null && exit 1
    agent prepare --only audit && exit 1
    agent prepare --only audit --apply --yes
    echo ---; modes; forwarder cat /var/log/audit/audit.log /var/log/audit/audit.log.1
    forwarder touch /var/log/audit/new 2>/dev/null && exit 1
    setpriv --reuid 4322 --regid 4322 --clear-groups cat /var/log/audit/audit.log 2>/dev/null && exit 1
    stat -c '%a %U:%G' /etc/audit/auditd.conf; diff /run/auditd.conf /etc/audit/auditd.conf || true
    echo ---; agent prepare --undo; cmp /run/auditd.conf /etc/audit/auditd.conf
    stat -c '%a %Y' /run/auditd.conf /etc/audit/auditd.conf | uniq | wc -l`);
  assert.is(code, 0, stdout + stderr);
  const [plan = '', applied, undone = ''] = stdout.split('---\n');
  assert.match(plan, /needed +audit +Only root can read the audit log/);
  assert.is(
    applied,
    `750 root:immutafs-forward /var/log/audit
640 root:immutafs-forward /var/log/audit/audit.log
440 root:immutafs-forward /var/log/audit/audit.log.1
audit.log
audit.log.1
640 root:root
9a10
> log_group = immutafs-forward
`,
  );
  assert.match(undone, /auditd\.conf: restored\n1\n$/);
});

audit.run();
