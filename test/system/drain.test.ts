/** The forwarder at shutdown, with the real systemctl where it cannot find systemd, and with programs in its place. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../packaging/build/paths.ts';
import { inNamespace } from '../harness/namespace.ts';

const draining = suite('the forwarder at shutdown');

const program = `
import { drain, isShuttingDown } from '${inRoot('agent/forward/pipeline/drain.ts')}';
import { systemReader } from '${inRoot('agent/system/reader.ts')}';
const cgroup = '0::/system.slice/immutafs-forward.service';
const reader = { ...systemReader(), readIfPresent: () => cgroup };
const began = performance.now();
const shutdown = await isShuttingDown(reader);
if (shutdown) await drain(reader, { cursor: () => '', acknowledged: () => 0, idle: () => true, complete: () => {} });
console.log(JSON.stringify({ shutdown, waited: performance.now() - began >= 5000 }));
`;

/** @param systemctl what a program in place of systemctl does; by default, the real one cannot find systemd */
function stopped(systemctl = ''): unknown {
  const replace =
    systemctl === ''
      ? 'mount -t tmpfs run /run; [ "$(systemctl is-system-running)" = offline ]'
      : `printf '#!/bin/sh\\n%s\\n' '${systemctl}' >/mnt/systemctl; chmod 755 /mnt/systemctl
         mount --bind /mnt/systemctl /usr/bin/systemctl`;
  const { stdout, stderr } = inNamespace(`${replace}; "$1" "$2" --input-type=module -e "${program}"`);
  assert.match(stdout, /^\{/, stderr);
  return JSON.parse(stdout);
}

draining('systemctl is offline: the forwarder drains, and waits until the journal is quiet', () => {
  assert.equal(stopped(), { shutdown: true, waited: true });
});

draining('only the service stops: it does not drain', () => {
  const answer = 'echo 7 immutafs-forward.service stop running';
  assert.equal(stopped(answer), { shutdown: false, waited: false });
});

draining('the system shuts down and no other unit is stopping: it drains at once', () => {
  const answer = 'echo 7 immutafs-forward.service stop running; echo 1 shutdown.target start waiting';
  assert.equal(stopped(answer), { shutdown: true, waited: false });
});

draining.run();
