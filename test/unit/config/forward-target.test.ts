import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseTargets } from '../../../agent/config/forward-target.ts';
import { UsageError } from '../../../agent/lib/errors.ts';

const target = suite('targets of FORWARD');

for (const [text, protocol, carrier, host, port] of [
  ['relp://log:2514', 'relp', 'tcp', 'log', 2514],
  ['relp+tls://log.example.com:1/', 'relp', 'tls', 'log.example.com', 1],
  ['syslog+tcp://log', 'syslog', 'tcp', 'log', 601],
  ['syslog+tls://log', 'syslog', 'tls', 'log', 6514],
  ['syslog+udp://192.0.2.1', 'syslog', 'udp', '192.0.2.1', 514],
  ['journal+http://log', 'journal', 'tcp', 'log', 19532],
  ['journal+https://[2001:db8::1]:65535', 'journal', 'tls', '2001:db8::1', 65535],
] as const) {
  target(text, () => assert.equal(parseTargets(text), [{ protocol, carrier, host, port, text }]));
}

for (const text of [
  'relp://log',
  'relp://log:0',
  'relp://log:65536',
  'relp://log:1x',
  'relp://user@log:1',
  'relp://-log:1',
  'relp://2001:db8::1:1',
  'gopher://log:1',
  'constructor://log:1',
  'log:1',
]) {
  target(`${text} is a usage error that quotes it`, () => {
    assert.throws(
      () => parseTargets(`relp://a:1 ${text}`),
      (error: unknown) => error instanceof UsageError && error.message.startsWith(`${text}: `),
    );
  });
}

target('keeps the order of the servers', () => {
  assert.equal(
    parseTargets(' relp://a:1 \t syslog+tcp://b ').map(({ host }) => host),
    ['a', 'b'],
  );
});

target.run();
