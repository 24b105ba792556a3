import type { Report } from '../../agent/report/report.ts';
import { edit } from '../harness/changes.ts';
import { evaluateFixture, goodGuest, maintenanceGuest } from '../harness/guest.ts';
import { forward } from '../harness/sample-report.ts';

/** What a playbook collects about a guest: the arguments of the filter `fleet_guest`. */
export interface Collected {
  name: string;
  /** The result of the module `domain`; null if the host could not be queried. */
  query: Record<string, unknown> | null;
  /** The result of the module `guest` for `status --json`; null if the guest was not queried. */
  status: { json?: unknown; msg?: string } | null;
  more: Record<string, unknown>;
}

/** The time at which the fleet is reported. */
export const at = new Date('2026-11-27T05:06:07Z');

const sealed = await evaluateFixture(goodGuest());
const failing = goodGuest();
edit('home', 'noexec,', '')(failing);

/** Reports of a sealed guest, without and with a failed check, of a forwarder that waits, and of maintenance mode. */
export const reports = {
  sealed,
  failed: await evaluateFixture(failing),
  waiting: { ...sealed, forward: { ...forward, state: 'waiting', error: 'connect ECONNREFUSED' } },
  maintenance: await evaluateFixture(maintenanceGuest()),
} satisfies Record<string, Report>;

const roles = ['web', 'db', 'cache', 'queue', 'build', 'mail', 'proxy', 'ldap', 'files', 'metrics'];

/**
 * Returns a fleet that is made of the four reports: mostly sealed guests, and some of every other state. The same
 * number of guests always results in the same fleet.
 */
export function fleetOf(count: number): Collected[] {
  const random = generator(20260304);
  return Array.from({ length: count }, (_, index) => {
    const role = roles[index % roles.length] ?? '';
    const name = `${role}-${String(Math.floor(index / roles.length) + 1).padStart(2, '0')}.example.com`;
    return { name, ...collected(index, name, random), more: inventory(index, name) };
  });
}

function inventory(index: number, name: string): Record<string, unknown> {
  const hypervisor = `kvm${String((index % 12) + 1).padStart(2, '0')}.example.com`;
  return {
    hypervisor,
    domain: name.replace('.example.com', ''),
    disk: 'vda',
    failure: null,
    receipt: receipt(index),
  };
}

/** Returns a receipt for two of three guests. */
function receipt(index: number): unknown {
  const recordedAt = new Date(at.getTime() - ((index % 40) + 1) * 43_200_000)
    .toISOString()
    .replace('.000', '');
  const state = index % 2 === 0 ? 'signed' : 'not signed';
  return index % 3 === 0 ? null : { at: recordedAt, by: 'admin@controller', state };
}

function collected(index: number, name: string, random: () => number): Pick<Collected, 'query' | 'status'> {
  const age = Math.floor(random() * 40 * 86_400);
  const sealed = hostQuery(true, age);
  const answer = (json: unknown) => ({ json });
  switch (index) {
    case 2:
      return { query: hostQuery(false, age), status: answer(reported('sealed', name, random)) };
    case 3:
      return { query: hostQuery(false, 5400), status: answer(reported('maintenance', name, random)) };
    case 4:
      return {
        query: sealed,
        status: { msg: 'the guest: Failed to connect to the host via ssh: timed out' },
      };
    case 6:
      return { query: sealed, status: { msg: 'the output is not JSON: <html>502 Bad Gateway</html>' } };
    case 7:
      return { query: { ...sealed, state: 'shut off', now: null, live: null, qemu: null }, status: null };
    case 8:
      return { query: null, status: null };
    default:
      break;
  }
  if (index % 61 === 5) return { query: sealed, status: answer(reported('failed', name, random)) };
  if (index % 83 === 9)
    return { query: hostQuery(false, 7200), status: answer(reported('maintenance', name, random)) };
  if (index % 97 === 12) return { query: sealed, status: answer(reported('waiting', name, random)) };
  return { query: sealed, status: answer(reported('sealed', name, random)) };
}

/** Returns the result of the module `domain`. @param writtenSeconds the age of the last write to the disk */
export function hostQuery(readOnly: boolean, writtenSeconds: number): Record<string, unknown> {
  const boot = { firmware: 'bios', store: null, wrong: [], blockers: [] };
  return {
    target: 'vda',
    bus: 'virtio',
    state: 'running',
    reason: 'booted',
    persistent: readOnly,
    live: readOnly,
    qemu: readOnly,
    now: readOnly,
    boot,
    boot_now: boot,
    read: { vda: 160 * 1024 * 1024, vdb: 1024 * 1024 },
    written: Math.floor(at.getTime() / 1000) - writtenSeconds,
  };
}

/** Returns a recorded report with the name, the versions, the usage of /var and the log forwarding of one guest. */
function reported(kind: keyof typeof reports, name: string, random: () => number): Report {
  const report = structuredClone<Report>(reports[kind]);
  report.host.name = name;
  report.agent.version = random() < 0.9 ? report.agent.version : '0.0.9';
  const size = 512 * 1024 ** 2;
  const share = random() ** 3;
  report.var.sizeBytes = size;
  report.var.usedBytes = Math.floor(size * share);
  if (share > 0.85)
    report.var.forecast = {
      secondsUntilFull: Math.floor((1 - share) * 60_000),
      limit: 'bytes',
      bytesPerSecond: 2048,
      inodesPerSecond: 0.01,
      overSeconds: 3600,
    };
  if (random() < 0.8) report.forward ??= forwarder(random);
  return report;
}

function forwarder(random: () => number): Report['forward'] {
  const behind = random() < 0.02;
  return {
    ...forward,
    ...{ target: 'relp+tls://logs.example.com:2514', state: behind ? 'waiting' : 'connected' },
    lag: {
      entries: behind ? Math.floor(random() * 9000) : 0,
      seconds: behind ? Math.floor(random() * 7200) : 0,
    },
    error: behind ? 'connect ETIMEDOUT' : '',
    acknowledged: Math.floor(random() * 1e6),
    lost: behind && random() < 0.5 ? 12 : 0,
    sources: [],
  };
}

/** Returns a generator of numbers from 0 to 1, which depend only on the seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
