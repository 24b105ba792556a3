import { permitReading } from '../assess/log-access.ts';
import { graceSeconds, isRunning } from '../facts/forwarder.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check, Outcome } from './check.ts';
import type { AssessedFacts } from '../assess/assess.ts';

export const auditForwarded: Check = {
  id: 'audit-forwarded',
  messageId: '39934bec214d4dd79f721c2a3779d86f',
  expected: 'forwarded',
  evaluate: (facts) => {
    const trail = unwrap(facts.audit);
    const none = { status: 'skip', subject: 'auditd' } as const;
    if (trail === undefined) return { ...none, observed: 'auditd does not run' };
    const { file, inJournal } = trail;
    if (file === undefined) return { ...none, observed: 'auditd writes no log file' };
    if (inJournal) return { status: 'pass', subject: file, expected: '', observed: 'in the journal' };
    return { subject: file, ...judgeTrail(facts, file) };
  },
};

function judgeTrail({ config, mode, identity, forward }: AssessedFacts, file: string): Outcome {
  if (config.FORWARD === '') {
    const remedy = 'Set FORWARD in /etc/immutafs/immutafs.conf to a log server while the disk is writable.';
    return { status: 'warn', observed: 'not forwarded, because FORWARD is empty', remedy };
  }
  const forwarder = unwrap(forward);
  if (forwarder === undefined) {
    const remedy = 'Check again when immutafs-forward.service has started.';
    return { status: 'warn', observed: 'the forwarder has not started in this boot', remedy };
  }
  const lost = mode.mode === 'sealed' ? 'fail' : 'warn';
  const early = identity.uptime < graceSeconds ? 'warn' : lost;
  const { error, sources, state } = forwarder.state;
  if (!isRunning(forwarder)) {
    // Its state says what was forwarded, and not what is.
    return {
      status: early,
      observed: `the forwarder is not running${error === '' ? '' : `: ${error}`}`,
      remedy:
        'Run `systemctl status immutafs-forward.service`, which shows why it ended, then start it again.',
    };
  }
  const source = sources.find(({ path }) => path === file);
  if (source === undefined && state !== 'connected') {
    // It opens the log files when it is connected for the first time.
    return {
      status: early,
      observed: 'the forwarder has not been connected to a log server in this boot',
      remedy: 'Run `immutafs-agent forward --test`, which tests the connection step by step.',
    };
  }
  if (source === undefined) {
    const remedy = `Add ${file} to FORWARD_FILES while the disk is writable, and restart immutafs-forward.service.`;
    return { status: lost, observed: 'the forwarder does not read it', remedy };
  }
  if (source.error === '') return { status: 'pass', observed: 'forwarded' };
  const remedy = permitReading(file, file);
  return { status: lost, observed: `the forwarder cannot read it: ${source.error}`, remedy };
}
