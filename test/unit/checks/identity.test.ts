import { type Change, all, config, file, uptime } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';
import { maintenanceGuest } from '../../harness/guest.ts';

const requested = config('IDENTITY=host\nIDENTITY_CA=/etc/ca.pem\n');
const port = file('dev/virtio-ports/org.immutafs.identity', '');
const hour = 3_600_000;
const at = (milliseconds: number) =>
  new Date(Date.parse('2026-03-04T05:06:07Z') + milliseconds).toISOString();
const record = (change: Record<string, unknown> = {}, certificate: Record<string, unknown> = {}): Change =>
  file(
    'run/immutafs/identity/state.json',
    JSON.stringify({
      problem: '',
      certificate: {
        ...{ id: 'spiffe://example.org/guest/a', host: 'kvm1' },
        ...{ from: at(-hour), until: at(hour), ...certificate },
      },
      ...change,
    }),
  );
const guest = (...more: Change[]): Change => all(requested, port, ...more);

testChanges('identity', {
  'not requested': [all(), 'skip'],
  'not requested, with a certificate of an earlier configuration': [record(), 'skip'],
  'a certificate that is valid': [
    guest(record()),
    /^pass: certified by kvm1 until .* as spiffe:\/\/example\.org\/guest\/a$/,
  ],
  'a certificate that could not be renewed': [
    guest(record({ problem: 'the disk is writable' })),
    /^warn: certified by kvm1 .*; not renewed: the disk is writable$/,
  ],
  'a certificate that has expired': [
    guest(record({ problem: 'the disk is writable' }, { until: at(-1000) })),
    /^fail: the certificate was valid until .*: the disk is writable$/,
  ],
  'a certificate of the future': [guest(record({}, { from: at(hour) })), /^fail: the certificate was valid/],
  'a refusal': [
    guest(record({ certificate: null, problem: 'the disk is writable' })),
    /^fail: not certified: the disk is writable$/,
  ],
  'no port': [requested, /^fail: the domain has no port org\.immutafs\.identity$/],
  'before the first request': [guest(), /^warn: not requested yet$/],
  'no request for a long time': [guest(uptime(1000)), /^fail: not requested yet$/],
  'no IDENTITY_CA': [config('IDENTITY=host\n'), /^fail: IDENTITY_CA is empty$/],
  'a record that is damaged': [guest(file('run/immutafs/identity/state.json', '{')), /^error: /],
});

testFindings('identity', { 'in maintenance': [requested, port, 'skip'] }, { guest: maintenanceGuest });
