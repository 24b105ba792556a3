import type { AssessedFacts } from '../assess/assess.ts';
import { permitReading } from '../assess/log-access.ts';
import { graceSeconds, isRunning } from '../facts/forwarder.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check, Outcome } from './check.ts';

/** Verifies that the audit trail does not exist only in RAM. */
export const auditForwarded: Check = {
  id: 'audit-forwarded',
  severity: 'required',
  seal: false,
  messageId: '39934bec214d4dd79f721c2a3779d86f',
  documentation: {
    title: 'the audit trail is forwarded',
    means:
      'If auditd runs, the audit trail is in the journal, or the forwarder runs and reads the log file of auditd (log_file in /etc/audit/auditd.conf). The check compares the running auditd with the state that the forwarder records. It fails in a sealed boot if FORWARD names a server, and warns otherwise.',
    why: 'On Red Hat Enterprise Linux the audit trail is not in the journal. auditd writes it to /var/log/audit/audit.log, which is in RAM in a sealed boot and lost at shutdown: logins, changes of users and violations of the policy leave no trace.',
    fix: 'Set FORWARD to a log server and FORWARD_FILES to the log file of auditd, then restart immutafs-forward.service. If the forwarder may not read the file, run `immutafs-agent prepare --only audit --apply` while the disk is writable: it sets log_group in /etc/audit/auditd.conf.',
    page: 'log-server.md',
  },
  evaluate: (facts) => {
    const trail = unwrap(facts.audit);
    const none = { subject: 'auditd' };
    if (trail === undefined) return { status: 'skip', ...none, observed: 'auditd does not run' };
    const { file, inJournal } = trail;
    if (file === undefined) return { status: 'skip', ...none, observed: 'auditd writes no log file' };
    if (inJournal) return { status: 'pass', ...none, subject: file, observed: 'in the journal' };
    return judge(facts, file);
  },
};

function judge(facts: AssessedFacts, file: string): Outcome {
  const subject = file;
  const expected = 'forwarded';
  const lost = facts.mode.mode === 'sealed' && facts.config.FORWARD !== '' ? 'fail' : 'warn';
  if (facts.config.FORWARD === '') {
    const remedy = 'Set FORWARD in /etc/immutafs/immutafs.conf to a log server.';
    return { status: 'warn', subject, expected, observed: 'not forwarded, because FORWARD is empty', remedy };
  }
  const forwarder = unwrap(facts.forward);
  if (forwarder === undefined) {
    const remedy = 'Check again when immutafs-forward.service has started.';
    return {
      status: 'warn',
      subject,
      expected,
      observed: 'the forwarder has not started in this boot',
      remedy,
    };
  }
  if (!isRunning(forwarder)) {
    // Its state says what was forwarded, and not what is.
    const { error } = forwarder.state;
    return {
      status: facts.identity.uptime < graceSeconds ? 'warn' : lost,
      subject,
      expected,
      observed: `the forwarder is not running${error === '' ? '' : `: ${error}`}`,
      remedy:
        'Run `systemctl status immutafs-forward.service`, which shows why it ended, then start it again.',
    };
  }
  const source = forwarder.state.sources.find(({ path }) => path === file);
  if (source === undefined && forwarder.state.state !== 'connected') {
    // It opens the log files when it is connected for the first time.
    return {
      status: facts.identity.uptime < graceSeconds ? 'warn' : lost,
      subject,
      expected,
      observed: 'the forwarder has not been connected to a log server in this boot',
      remedy: 'Run `immutafs-agent forward --test`, which tests the connection step by step.',
    };
  }
  if (source === undefined) {
    const remedy = `Add ${file} to FORWARD_FILES and restart immutafs-forward.service.`;
    return { status: lost, subject, expected, observed: 'the forwarder does not read it', remedy };
  }
  if (source.error !== '') {
    const remedy = permitReading(file, file);
    return {
      status: lost,
      subject,
      expected,
      observed: `the forwarder cannot read it: ${source.error}`,
      remedy,
    };
  }
  return { status: 'pass', subject, expected, observed: expected };
}
