import type { Finding, Status } from '../../agent/checks/check.ts';
import type { Report } from '../../agent/report/report.ts';

export const finding = (status: Status, severity: Finding['severity'] = 'required', id = 'a'): Finding => ({
  id,
  status,
  severity,
  subject: '/x',
  expected: 'good',
  observed: 'seen',
  remedy: status === 'fail' ? 'Fix it.' : '',
});

/** A failed report with one check of each status. */
export const sample: Report = {
  schema: 1,
  agent: { version: '1.2.3' },
  host: { name: 'guest7', kernel: '3.10.0', os: 'Red Hat Enterprise Linux Server 7.9 (Maipo)', bootId: 'x' },
  image: null,
  imageWarnings: [],
  at: '2026-03-04T05:06:07.089Z',
  mode: 'sealed',
  reason: 'disk vda is read-only (virtio-feature)',
  verdict: 'failed',
  enforcement: 'partial',
  rehearsal: null,
  disks: [
    {
      name: 'vda',
      bus: 'virtio-blk',
      serial: null,
      readOnly: true,
      hostReadOnly: true,
      evidence: 'virtio feature VIRTIO_BLK_F_RO offered by the host',
      holds: ['/', '/boot'],
    },
    {
      name: 'vdb',
      bus: 'virtio-blk',
      serial: null,
      readOnly: false,
      hostReadOnly: false,
      evidence: 'virtio feature VIRTIO_BLK_F_RO not offered by the host',
      holds: ['/home'],
    },
  ],
  var: {
    overlay: true,
    lower: '/run/immutafs/lower',
    upper: '/run/var/upper',
    assembledBy: 'initramfs',
    sizeBytes: 268435456,
    usedBytes: 12582912,
    inodes: 204800,
    inodesUsed: 1000,
    largest: [],
    forecast: null,
  },
  boot: null,
  footholds: [],
  data: [],
  impostors: [],
  overlays: [],
  programs: null,
  sessions: [],
  persisted: [],
  scratch: [],
  forward: null,
  checks: [
    finding('pass', 'required', 'root-readonly'),
    finding('fail', 'required', 'host-enforced'),
    finding('warn', 'advisory', 'initramfs-hook'),
    { ...finding('skip', 'required', 'other-options'), subject: '' },
    finding('error', 'required', 'mtab-link'),
  ],
};

/** The state of a forwarder that lost entries. */
export const forward: NonNullable<Report['forward']> = {
  ...{ target: 'relp://log:2514', state: 'connected', since: sample.at, lastAckAt: sample.at, error: '' },
  lag: { entries: 7, seconds: 2.5 },
  ...{ acknowledged: 9, repeated: 0, lost: 3, corrupt: 0, refused: 0, cut: 0, suppressed: 0 },
  lostFiles: 2,
  sources: [
    { path: '/var/log/audit/audit.log', acknowledgedBytes: 100, behindBytes: 20, lostBytes: 5, error: '' },
  ],
};
