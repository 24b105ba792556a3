import { permitReading } from '../assess/log-access.ts';
import { configFile } from '../config/config.ts';
import {
  type ForwardCounts,
  type ForwardSource,
  type Forwarder,
  graceSeconds,
  heartbeat,
  isRunning,
} from '../facts/forwarder.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check, Outcome } from './check.ts';

/** Verifies that log entries reach the log server. */
export const forwardHealthy: Check = {
  id: 'forward-healthy',
  severity: 'required',
  seal: false,
  messageId: 'd6eec8b9bbd44ad798ac78b0d47c8a7e',
  documentation: {
    title: 'log entries reach the log server',
    means:
      'If FORWARD names a server, immutafs-forward.service runs and is connected, and no journal entry and no byte of a log file was lost. Every log file of FORWARD_FILES can be read. The check reads the state that the forwarder records. While the server has been unavailable for less than five minutes, the check only warns. If FORWARD, FORWARD_* or another line of the configuration is invalid, the forwarder does not start and the check fails.',
    why: 'In a sealed boot /var is in RAM: log entries that are not forwarded are lost at shutdown, and with them the traces of an attack.',
    fix: 'If the check names lines of the configuration, fix them and restart immutafs-forward.service. Otherwise run immutafs-agent forward --test, which shows the step that fails: name, connection, certificates or protocol. If the service ended, systemctl status immutafs-forward.service shows why.',
    page: 'log-server.md',
  },
  evaluate: (facts) => {
    const { config, forward, forwardProblems } = facts;
    if (forwardProblems.length > 0) return misconfigured(forwardProblems);
    const subject = config.FORWARD;
    const nothing = { subject };
    if (subject === '')
      return { status: 'skip', ...nothing, observed: 'not forwarded, because FORWARD is empty' };
    const forwarder = unwrap(forward);
    const { status, observed } = judge(forwarder, facts.identity.uptime);
    const unreadable = forwarder?.state.sources.find(({ error }) => error !== '');
    const remedy = status === 'pass' ? '' : remedies[status];
    if (status === 'warn' && unreadable !== undefined) {
      const audit = 'value' in facts.audit ? facts.audit.value?.file : undefined;
      return { status, subject, observed, remedy: permitReading(unreadable.path, audit) };
    }
    return { status, subject, expected: 'connected, no entry lost', observed, remedy };
  },
};

/** Returns the failure for an invalid configuration. The subject is the configuration file, so the exit code is 2. */
function misconfigured(problems: readonly string[]): Outcome {
  return {
    status: 'fail',
    subject: configFile,
    expected: 'a valid configuration of the log server and its certificates',
    observed: `the forwarder does not start: ${problems.join('; ')}`,
    remedy: 'Fix the lines named, then run `systemctl restart immutafs-forward.service`.',
  };
}

const remedies = {
  warn: 'Check again in a few minutes; if the warning stays, run `immutafs-agent forward --test`.',
  fail: 'Run `immutafs-agent forward --test` and `systemctl status immutafs-forward.service`.',
};

type Judgement = { status: keyof typeof remedies | 'pass'; observed: string };

function judge(forwarder: Forwarder | undefined, uptime: number): Judgement {
  const early = (seconds: number) => (seconds < graceSeconds ? 'warn' : 'fail');
  if (forwarder === undefined)
    return { status: early(uptime), observed: 'the forwarder has not started in this boot' };
  const { state, reportedSeconds, sinceSeconds } = forwarder;
  const { error } = state;
  const why = error === '' ? '' : `: ${error}`;
  if (!isRunning(forwarder)) return { status: early(uptime), observed: `the forwarder is not running${why}` };
  if (reportedSeconds > (3 * heartbeat) / 1000)
    return {
      status: 'fail',
      observed: `the forwarder has not reported for ${Math.round(reportedSeconds)} s`,
    };
  if (state.state !== 'connected')
    return { status: early(sinceSeconds), observed: `not connected for ${Math.round(sinceSeconds)} s${why}` };
  if (error !== '') return { status: 'warn', observed: `connected, but ${error}` };
  const behind = state.lag.seconds ?? 0;
  if (behind > graceSeconds) return { status: 'warn', observed: `${Math.round(behind)} s behind` };
  const missing = [describeLoss(state.counts), describeSources(state.sources)]
    .filter((each) => each !== '')
    .join(', ');
  if (missing !== '') return { status: 'warn', observed: `connected, but ${missing}` };
  return { status: 'pass', observed: `connected to ${state.target}` };
}

function describeSources(sources: readonly ForwardSource[]): string {
  return sources
    .flatMap(({ path, error, lostBytes }) => [
      ...(error === '' ? [] : [`cannot read ${error}`]),
      ...(lostBytes === 0 ? [] : [`${lostBytes} bytes of ${path} removed before they were sent`]),
    ])
    .join(', ');
}

function describeLoss({ lost, corrupt, refused, cut, suppressed }: ForwardCounts): string {
  return [
    [lost, 'removed from the journal before they were sent'],
    [corrupt, 'unreadable in the journal'],
    [refused, 'refused by the server'],
    [cut, 'truncated because they were too long'],
    [suppressed, 'suppressed by journald'],
  ]
    .filter(([count]) => count !== 0)
    .map(([count, what]) => `${count} entries ${what}`)
    .join(', ');
}
