import { execFileSync } from 'node:child_process';
import type { ForwardState } from '../../agent/facts/forwarder.ts';
import { formatUsageHistory } from '../../agent/facts/records.ts';
import { inRoot } from '../../packaging/build/paths.ts';
import { runIn } from '../harness/command-line.ts';
import { type Guest, goodGuest, maintenanceGuest } from '../harness/guest.ts';

/** The state of a guest whose metrics are wanted. */
export interface GuestState {
  mode?: 'sealed' | 'maintenance';
  /** Whether a required check fails. */
  failed?: boolean;
  /** Whether root in the guest made the disk read-only, and not the host. */
  ownFlag?: boolean;
  /** Bytes per second by which /var grows. */
  growth?: number;
  forwarder?: Partial<ForwardState>;
  lostEntries?: number;
  /** Whether PostgreSQL has written to /var. */
  database?: boolean;
}

const noCounts = { acknowledged: 0, repeated: 0, lost: 0, corrupt: 0, refused: 0, cut: 0, suppressed: 0 };
const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();

/** Returns the output of `status --prometheus` of the real program for a guest in this state, evaluated now. */
export async function guestMetrics(state: GuestState = {}): Promise<string> {
  const guest = state.mode === 'maintenance' ? maintenanceGuest() : goodGuest();
  addForwarder(guest, state);
  // Advisory checks that warn, as on an ordinary guest.
  guest.files['sys/module/module/parameters/sig_enforce'] = 'N\n';
  if (state.failed === true) guest.files['etc/mtab'] = '';
  if (state.ownFlag === true) {
    guest.devices = guest.devices.map((each) =>
      each.name === 'vda' ? { ...each, offered: false, readOnly: true } : each,
    );
  }
  if (state.growth !== undefined) addGrowth(guest, state.growth);
  if (state.database === true) guest.files['run/var/upper/lib/pgsql/data/base/1'] = 'row';
  const { stdout, stderr } = await runIn(guest, 'status', '--prometheus');
  if (!stdout.includes('immutafs_verdict')) throw new Error(stderr);
  // The harness gives every report the same time.
  return withValue(stdout, 'immutafs_report_timestamp_seconds', Date.now() / 1000);
}

/** Replaces the value of a metric without labels in a file of node_exporter. @throws if there is no such metric */
export function withValue(text: string, metric: string, value: number): string {
  const changed = text.replace(new RegExp(`^${metric} .*$`, 'm'), `${metric} ${value}`);
  if (changed === text) throw new Error(`no metric ${metric} with a different value`);
  return changed;
}

function addForwarder(guest: Guest, { forwarder, lostEntries = 0 }: GuestState): void {
  const sources = [
    { path: '/var/log/audit/audit.log', acknowledgedBytes: 9000, behindBytes: 12, lostBytes: 0, error: '' },
  ];
  const state = {
    ...{
      target: 'relp://log:2514',
      state: 'connected',
      since: ago(400),
      at: ago(1),
      pid: 42,
      lastAckAt: ago(1),
    },
    ...{ lag: { entries: 3, seconds: 0.5 }, counts: { ...noCounts, acknowledged: 900, lost: lostEntries } },
    ...{ sources, error: '', ...forwarder },
  };
  guest.files['etc/immutafs/immutafs.conf'] = 'FORWARD=relp://log:2514\n';
  guest.files['run/immutafs/forward/state.json'] = JSON.stringify(state);
  guest.files['proc/42/comm'] = 'immutafs-agent\n';
}

function addGrowth(guest: Guest, bytesPerSecond: number): void {
  const uptime = 700;
  guest.answers.uptime = uptime;
  const { usedBytes, inodesUsed } = guest.answers.usage;
  const samples = [660, 600, 480, 360, 240, 120].map((age) => ({
    uptime: uptime - age,
    usedBytes: usedBytes - bytesPerSecond * age,
    inodesUsed,
  }));
  const bootId = (guest.files['proc/sys/kernel/random/boot_id'] as string).trim();
  guest.files['run/immutafs/usage.json'] = formatUsageHistory(bootId, samples);
}

/** A domain as host_metrics.domains.query_domain describes it. */
export interface DomainState {
  name: string;
  running: boolean;
  error: boolean;
  disks: Record<string, Record<string, boolean>>;
  answers: boolean | null;
  claim: { verdict: string; mode: string; time: number; disks: unknown[] } | null;
  differences: string[] | null;
}

/** Returns a sealed domain whose guest reports the same. */
export function sealedDomain(): DomainState {
  const disks = [{ name: 'vda', bus: 'virtio-blk', hostReadOnly: true, holds: ['/'] }];
  return {
    ...{ name: 'guest', running: true, error: false },
    disks: { vda: { next_start: true, libvirt: true, qemu: true } },
    answers: true,
    claim: { verdict: 'sealed', mode: 'sealed', time: Math.floor(Date.now() / 1000), disks },
    differences: [],
  };
}

/** Formats the metrics of a host with the code of immutafs-host-metrics. @param at seconds since 1970 */
export function hostMetrics(domains: readonly DomainState[], at = Date.now() / 1000): string {
  const program =
    'import json, sys; from host_metrics.metrics import render; print(render(*json.load(sys.stdin)), end="")';
  return execFileSync('/usr/bin/python3', ['-B', '-c', program], {
    input: JSON.stringify([domains, at, 0.5]),
    encoding: 'utf8',
    env: { PYTHONPATH: inRoot('monitoring/host') },
  });
}
