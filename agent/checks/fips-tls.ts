import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

const tlsScheme = /^(?:relp\+tls|syslog\+tls|journal\+https):/;

/** Verifies that a guest in FIPS mode does not depend on the agent's own TLS. */
export const fipsTls: Check = {
  id: 'fips-tls',
  severity: 'advisory',
  seal: false,
  messageId: 'e9589e6ceeac4655bbe07a17386794d8',
  documentation: {
    title: 'in FIPS mode, logs are encrypted by a validated module',
    means:
      'The kernel is not in FIPS mode (/proc/sys/crypto/fips_enabled is 0), or no server in FORWARD uses TLS of the agent (relp+tls, syslog+tls, journal+https).',
    why: 'The agent contains its own OpenSSL, which is not the validated module of the distribution and does not follow its crypto policy. The connection is encrypted, but does not satisfy FIPS 140.',
    fix: 'Let a program of the distribution encrypt: run stunnel in the guest with /usr/share/doc/immutafs-agent/stunnel-guest.conf, and set FORWARD=relp://127.0.0.1:2515. See /usr/share/doc/immutafs-agent/log-server.md, "FIPS mode".',
    page: 'log-server.md',
  },
  evaluate: ({ config, fips }) => {
    const good = { status: 'pass' } as const;
    if (!unwrap(fips)) return { ...good, observed: 'the kernel is not in FIPS mode' };
    const servers = config.FORWARD.split(/[ \t]+/).filter((server) => tlsScheme.test(server));
    if (servers.length === 0) return { ...good, observed: 'FIPS mode; the agent uses no TLS' };
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
