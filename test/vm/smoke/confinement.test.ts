import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { repository } from '../harness/cache.ts';
import { runInContainer } from '../harness/container.ts';

const confinement = suite('the services of the package are confined');

const folder = '/run/immutafs/forward';
/** Files that permissions let each user read, and directories to which each user may write. */
const secrets = ['/home/secret', '/root/secret', '/etc/ssl/private/other.key'];
const careless = `mkdir -p /etc/ssl/private; chmod 0755 /root /etc/ssl/private
for file in ${secrets.join(' ')}; do echo x >$file; chmod 0644 $file; done
mkdir -m 0777 /home/open /var/lib/open`;

/** Runs the intruder with the settings of the forwarder's unit, and as an ordinary service of the same user. */
const intrude = `systemd-run --quiet --uid=immutafs-forward --unit=victim sleep 600
program="/usr/bin/perl /out/intruder.pl ${folder} $(systemctl show -P MainPID victim)"
{
  systemctl cat immutafs-forward.service
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

let results: Record<string, string> = {};

confinement.before(async () => {
  const intruder = join(repository, 'test/fixtures/intruder.pl');
  results = await runInContainer([careless, intrude, work].join('\n'), [intruder]);
});

const linesOf = (name: string) => (results[name] ?? `${name}: ${results['log']}`).trimEnd().split('\n');

confinement('an intruder in the place of the forwarder can write only to its state directory', () => {
  assert.equal(linesOf('confined'), [
    ...secrets.map((file) => `read ${file} EACCES`),
    `write ${folder}`,
    'packet-socket EAFNOSUPPORT',
    'raw-socket EPERM',
    'ptrace EPERM',
    'process-of-root ENOENT',
    'writable-code EACCES',
    'set-user-id EPERM',
    'user-namespace EPERM',
  ]);
});

confinement('in an ordinary service of the same user, each of these attempts succeeds', () => {
  const lines = linesOf('ordinary');
  for (const open of ['/home/open', '/var/lib/open', '/tmp', '/dev/shm', folder])
    assert.ok(lines.includes(`write ${open}`), open);
  const names = ['packet-socket', 'raw-socket', 'ptrace', 'process-of-root', 'writable-code', 'set-user-id'];
  assert.equal(
    lines.filter((line) => !line.startsWith('write ')),
    [...secrets.map((file) => `read ${file}`), ...names, 'user-namespace'].map((name) => `${name} OK`),
  );
});

confinement('the service of the check finds what the command finds, and the forwarder connects', () => {
  // Numbers differ between two evaluations.
  const findings = (name: string) =>
    (JSON.parse(results[name] ?? '') as Report).checks.map(
      ({ id, status, observed }) => `${id} ${status} ${observed.replace(/\d[\d.]*/g, 'N')}`,
    );
  assert.equal(findings('by-service'), findings('by-command'));
  assert.ok(findings('by-service').length > 30);
  assert.match(results['state'] ?? '', 'ECONNREFUSED');
  assert.is(results['unknown'], '');
});

confinement.run();
