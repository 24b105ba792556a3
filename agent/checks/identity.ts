import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Seconds after the start of the guest until which there may be no certificate yet. */
const slowBoot = 900;

export const identity: Check = {
  id: 'identity',
  severity: 'advisory',
  seal: true,
  messageId: '2193f703dfe64915a655b4e7750458ad',
  subject: 'certificate',
  expected: 'a certificate of the host that is valid now',
  evaluate: ({ config, certificate, identity: { uptime } }) => {
    if (config.IDENTITY !== 'host') return { status: 'skip', observed: `IDENTITY is ${config.IDENTITY}` };
    if (config.IDENTITY_CA === '')
      return { status: 'fail', observed: 'IDENTITY_CA is empty', remedy: 'Set IDENTITY_CA.' };
    const { hasPort, now, state } = unwrap(certificate);
    const problem = state?.problem ?? '';
    const remedy = 'On the host: journalctl -u immutafs-identity.';
    if (state?.certificate) {
      const { id, host, from, until } = state.certificate;
      const observed = `certified by ${host} until ${until} as ${id}`;
      if (now >= Date.parse(from) && now < Date.parse(until))
        return problem === ''
          ? { status: 'pass', observed }
          : { status: 'warn', observed: `${observed}; not renewed: ${problem}`, remedy };
      return { status: 'fail', observed: `the certificate was valid until ${until}: ${problem}`, remedy };
    }
    if (problem !== '') return { status: 'fail', observed: `not certified: ${problem}`, remedy };
    if (!hasPort)
      return {
        status: 'fail',
        observed: 'the domain has no port org.immutafs.identity',
        remedy:
          'On the host, add the channel to the domain (/usr/share/doc/immutafs-agent/identity.md), and start the guest again.',
      };
    return {
      status: uptime < slowBoot ? 'warn' : 'fail',
      observed: 'not requested yet',
      remedy: 'Run `systemctl status immutafs-identity.service`.',
    };
  },
};
