import { UsageError } from '../lib/errors.ts';

type ProtocolName = 'relp' | 'syslog' | 'journal';

/** A server that FORWARD names. */
export interface Target {
  protocol: ProtocolName;
  carrier: 'tcp' | 'tls' | 'udp';
  host: string;
  port: number;
  /** The server as written in FORWARD. */
  text: string;
}

/**
 * Parses the value of FORWARD. Its messages begin with the invalid word.
 * @param value PROTOCOL://HOST[:PORT] words, separated by spaces; an IPv6 address is in brackets
 * @returns the servers, with the preferred server first
 * @throws UsageError with the invalid word and the reason
 */
export function parseTargets(value: string): Target[] {
  return value
    .split(/[ \t]+/)
    .filter((word) => word !== '')
    .map(parseTarget);
}

interface Scheme {
  protocol: ProtocolName;
  carrier: Target['carrier'];
  /** The registered port; undefined for RELP, which has no registered port. */
  port?: number;
}

const schemes: Record<string, Scheme> = {
  relp: { protocol: 'relp', carrier: 'tcp' },
  'relp+tls': { protocol: 'relp', carrier: 'tls' },
  /** The ports are 601 (RFC 6587, section 3.2), 6514 (RFC 5425) and 514 (RFC 5426). */
  'syslog+tcp': { protocol: 'syslog', carrier: 'tcp', port: 601 },
  'syslog+tls': { protocol: 'syslog', carrier: 'tls', port: 6514 },
  'syslog+udp': { protocol: 'syslog', carrier: 'udp', port: 514 },
  /** The port of systemd-journal-remote.socket(8). */
  'journal+http': { protocol: 'journal', carrier: 'tcp', port: 19532 },
  'journal+https': { protocol: 'journal', carrier: 'tls', port: 19532 },
};

function parseTarget(text: string): Target {
  const fail = (reason: string): never => {
    throw new UsageError(`${text}: ${reason}`);
  };
  const [, scheme = '', rest = ''] = /^([^:]*):\/\/(.*)$/.exec(text) ?? fail('not PROTOCOL://HOST:PORT');
  const found = Object.hasOwn(schemes, scheme) ? schemes[scheme] : undefined;
  if (found === undefined) return fail(`the protocol must be one of ${Object.keys(schemes).join(', ')}`);
  const [, bracketed, plain, port] =
    /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^:/[\]@?#]+))(?::([^/]*))?\/?$/.exec(rest) ??
    fail('the protocol must be followed by HOST:PORT (an IPv6 address in brackets)');
  const host = bracketed ?? plain ?? '';
  if (bracketed === undefined && !/^[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})$/.test(host))
    fail('not a valid host name');
  if (port === undefined && found.port === undefined) fail('RELP has no registered port: add one');
  const number = port === undefined ? found.port : /^[0-9]{1,5}$/.test(port) ? Number(port) : 0;
  if (number === undefined || number < 1 || number > 65535) return fail('the port must be from 1 to 65535');
  return { protocol: found.protocol, carrier: found.carrier, host, port: number, text };
}
