import { permitReading } from '../assess/log-access.ts';
import { configFile, words } from '../config/config.ts';
import {
  type ForwardCounts,
  type ForwardSource,
  type Forwarder,
  graceSeconds,
  heartbeat,
  isRunning,
} from '../facts/forwarder.ts';
import { unwrap, valueOf } from '../facts/observed.ts';
import type { Check, Outcome } from './check.ts';
import type { AssessedFacts } from '../assess/assess.ts';

export const forwardHealthy: Check = {
  id: 'forward-healthy',
  messageId: 'd6eec8b9bbd44ad798ac78b0d47c8a7e',
  evaluate: ({ config, forward, forwardProblems, identity, audit }) => {
    if (forwardProblems.length > 0) return misconfigured(forwardProblems);
    const subject = config.FORWARD;
    if (subject === '') return { status: 'skip', observed: 'not forwarded, because FORWARD is empty' };
    const forwarder = unwrap(forward);
    const { status, observed } = judgeState(forwarder, identity.uptime);
    const unreadable = forwarder?.state.sources.find(({ error }) => error !== '');
    if (status === 'warn' && unreadable !== undefined) {
      const remedy = permitReading(unreadable.path, valueOf(audit)?.file);
      return { status, subject, observed, remedy };
    }
    const remedy = status === 'pass' ? '' : remedies[status];
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
    remedy:
      'Fix the lines named while the disk is writable, then run `systemctl restart immutafs-forward.service`.',
  };
}

const remedies = {
  warn: 'Check again in a few minutes; if the warning stays, run `immutafs-agent forward --test`.',
  fail: 'Run `immutafs-agent forward --test` and `systemctl status immutafs-forward.service`.',
};

type Judgement = { status: keyof typeof remedies | 'pass'; observed: string };

function judgeState(forwarder: Forwarder | undefined, uptime: number): Judgement {
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
  const files = state.lostFiles === 0 ? [] : [`${state.lostFiles} log files removed before they were read`];
  const missing = [...describeLoss(state.counts), ...state.sources.flatMap(describeSource), ...files].join(
    ', ',
  );
  if (missing !== '') return { status: 'warn', observed: `connected, but ${missing}` };
  return { status: 'pass', observed: `connected to ${state.target}` };
}

function describeSource({ path, error, lostBytes }: ForwardSource): string[] {
  return [
    ...(error === '' ? [] : [`cannot read ${error}`]),
    ...(lostBytes === 0 ? [] : [`${lostBytes} bytes of ${path} removed before they were sent`]),
  ];
}

function describeLoss({ lost, corrupt, refused, cut, suppressed }: ForwardCounts): string[] {
  const losses = [
    [lost, 'removed from the journal before they were sent'],
    [corrupt, 'unreadable in the journal'],
    [refused, 'refused by the server'],
    [cut, 'truncated because they were too long'],
    [suppressed, 'suppressed by journald'],
  ] as const;
  return losses.flatMap(([count, what]) => (count === 0 ? [] : [`${count} entries ${what}`]));
}

const tlsScheme = /^(?:relp\+tls|syslog\+tls|journal\+https):/;
const loopback = /^[a-z+]+:\/\/(?:127\.\d+\.\d+\.\d+|\[::1\])(?::|\/|$)/;
const tlsKeys = ['FORWARD_CA', 'FORWARD_CERT', 'FORWARD_KEY', 'FORWARD_PEER'] as const;

function serversOf({ config }: Pick<AssessedFacts, 'config'>): string[] {
  return words(config.FORWARD);
}

/** Whether the configuration asks for TLS. An unencrypted server then contradicts it, or is a failover to plain text. */
function asksForTls(facts: Pick<AssessedFacts, 'config'>): boolean {
  return (
    tlsKeys.some((key) => facts.config[key] !== '') ||
    serversOf(facts).some((server) => tlsScheme.test(server))
  );
}

export const forwardEncrypted: Check = {
  id: 'forward-encrypted',
  severity: 'advisory',
  isRequired: { reason: 'the configuration names a server with TLS, or a TLS key', test: asksForTls },
  messageId: '62cbdfc572f04d56ae2cbd0c7b488d70',
  expected: 'TLS for every server',
  evaluate: (facts) => {
    const { forward, forwardProblems } = facts;
    if (forwardProblems.length > 0) return { status: 'skip', observed: 'the forwarder does not start' };
    const servers = serversOf(facts);
    if (servers.length === 0) return { status: 'skip', observed: 'not forwarded, because FORWARD is empty' };
    const forwarder = unwrap(forward);
    // The forwarder has the configuration that it was started with.
    const used = forwarder !== undefined && isRunning(forwarder) ? forwarder.state.target : '';
    const all = [...new Set([...servers, ...(used === '' ? [] : [used])])];
    const plain = all.filter((server) => !tlsScheme.test(server));
    const sent = plain.filter((server) => !loopback.test(server));
    if (sent.length > 0) {
      return {
        status: asksForTls(facts) ? 'fail' : 'warn',
        subject: sent.join(' '),
        observed: 'logs are sent unencrypted',
        remedy: `In FORWARD, replace ${sent.join(' ')} by a server with relp+tls, syslog+tls or journal+https while the disk is writable, and restart immutafs-forward.service.`,
      };
    }
    if (plain.length > 0) {
      const observed =
        'sent to a program in this guest, which must encrypt them; the agent does not see this';
      return { status: 'skip', subject: plain.join(' '), observed };
    }
    return { status: 'pass', subject: all.join(' '), observed: 'TLS' };
  },
};

export const fipsTls: Check = {
  id: 'fips-tls',
  severity: 'advisory',
  messageId: 'e9589e6ceeac4655bbe07a17386794d8',
  evaluate: ({ config, fips }) => {
    if (!unwrap(fips)) return { status: 'pass', observed: 'the kernel is not in FIPS mode' };
    const servers = serversOf({ config }).filter((server) => tlsScheme.test(server));
    if (servers.length === 0) return { status: 'pass', observed: 'FIPS mode; the agent uses no TLS' };
    return {
      status: 'warn',
      subject: servers.join(' '),
      expected: 'TLS by a validated module',
      observed: "FIPS mode, but the agent's own OpenSSL is outside the validated module",
      remedy:
        'Forward through stunnel of the distribution (/usr/share/doc/immutafs-agent/log-server.md, "FIPS mode").',
    };
  },
};
