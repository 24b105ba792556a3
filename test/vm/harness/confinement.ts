import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { repository } from './cache.ts';
import { runInContainer } from './container.ts';

const folder = '/run/immutafs/forward';
/** Files that permissions let each user read, and directories to which each user may write. */
const secrets = ['/home/secret', '/root/secret', '/etc/ssl/private/other.key'];
const careless = `mkdir -p /etc/ssl/private; chmod 0755 /root /etc/ssl/private
for file in ${secrets.join(' ')}; do echo x >$file; chmod 0644 $file; done
mkdir -m 0777 /home/open /var/lib/open`;

/** Runs the intruder with the settings of the forwarder's unit, and as an ordinary service of the same user. */
const intrude = `systemd-run --quiet --uid=immutafs-forward --unit=victim sleep 600
program="/usr/bin/perl /out/intruder.pl ${folder} $(systemctl show -p MainPID victim | sed s/.*=//)"
{
  systemctl cat immutafs-forward.service | sed /^Condition/d
  printf '[Service]\\nType=oneshot\\nRestart=no\\nExecStart=\\nExecStart=%s\\n' "$program"
} >/run/systemd/system/confined.service
printf '%s\\n' '[Service]' Type=oneshot User=immutafs-forward SupplementaryGroups=systemd-journal \\
  AmbientCapabilities=CAP_NET_RAW "ExecStart=$program" >/run/systemd/system/ordinary.service
systemctl daemon-reload
for name in confined ordinary; do systemctl start $name.service; mv ${folder}/intruder /out/$name; done`;

/** Runs the check as a service and from the command line, and the forwarder without a server. */
const work = `printf 'MODE=sealed\\nFORWARD=relp://127.0.0.1:9\\n' >>/etc/immutafs/immutafs.conf
systemctl start immutafs-drift; cp /run/immutafs/report.json /out/by-service
immutafs-agent status --json >/out/by-command
umount -l /proc/sys/kernel/random/boot_id # a mount of systemd-nspawn
systemctl restart immutafs-forward
for i in $(seq 60); do grep -s ECONNREFUSED ${folder}/state.json >/out/state && break; sleep 0.5; done
journalctl -q --no-pager -o cat _PID=1 | grep -i 'unknown.*immutafs\\|immutafs.*unknown' >/out/unknown`;

/** What a container with the services has written, by name of the file. */
export type Results = Record<string, string>;

/**
 * Runs the services of the package, and an intruder in the place of the forwarder, in a container.
 *
 * @param further lines of sh that run at the end
 * @param treeOf returns the tree of the container; by default that of the agent
 */
export function runConfined(further = '', treeOf?: () => Promise<string>): Promise<Results> {
  const intruder = join(repository, 'test/fixtures/intruder.pl');
  return runInContainer([careless, intrude, work, further].join('\n'), [intruder], treeOf);
}

/** Returns the lines of a file; the log of the container if the file is missing. */
export const linesOf = (results: Results, name: string) =>
  (results[name] ?? `${name}: ${results['log']}`).trimEnd().split('\n');

/** The results of the attempts whose results depend on the version of systemd, with systemd 257. */
const results257 = { 'process-of-root': 'ENOENT', 'writable-code': 'EACCES', 'set-user-id': 'EPERM' };

/**
 * Asserts that an intruder in the place of the forwarder can write only to its state directory.
 *
 * @param attempts results that differ from those with systemd 257
 */
export function assertConfined(results: Results, attempts: Partial<typeof results257> = {}): void {
  const expected = { ...results257, ...attempts };
  assert.equal(linesOf(results, 'confined'), [
    ...secrets.map((file) => `read ${file} EACCES`),
    `write ${folder}`,
    'packet-socket EAFNOSUPPORT',
    'raw-socket EPERM',
    'ptrace EPERM',
    `process-of-root ${expected['process-of-root']}`,
    `writable-code ${expected['writable-code']}`,
    `set-user-id ${expected['set-user-id']}`,
    'user-namespace EPERM',
  ]);
}

/** Asserts that each of these attempts succeeds in an ordinary service of the same user. */
export function assertOrdinary(results: Results): void {
  const lines = linesOf(results, 'ordinary');
  for (const open of ['/home/open', '/var/lib/open', '/tmp', '/dev/shm', folder])
    assert.ok(lines.includes(`write ${open}`), open);
  const names = ['packet-socket', 'raw-socket', 'ptrace', 'process-of-root', 'writable-code', 'set-user-id'];
  assert.equal(
    lines.filter((line) => !line.startsWith('write ')),
    [...secrets.map((file) => `read ${file}`), ...names, 'user-namespace'].map((name) => `${name} OK`),
  );
}

/** Asserts that the service of the check finds what the command finds, that the forwarder connects, and that systemd knows each directive. */
export function assertWorking(results: Results): void {
  // Numbers differ between two evaluations.
  const findings = (name: string) =>
    (JSON.parse(linesOf(results, name).join('\n')) as Report).checks.map(
      ({ id, status, observed }) => `${id} ${status} ${observed.replace(/\d[\d.]*/g, 'N')}`,
    );
  assert.equal(findings('by-service'), findings('by-command'));
  assert.ok(findings('by-service').length > 30);
  assert.match(results['state'] ?? '', 'ECONNREFUSED');
  assert.is(results['unknown'], '');
}
