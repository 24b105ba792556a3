/** Tests PROMETHEUS_FILE in a folder of an ordinary user, as in an installation of node_exporter. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { forwarderDirectory } from '../harness/forwarder-namespace.ts';
import { type Ran, inNamespace } from '../harness/namespace.ts';

const metrics = suite("PROMETHEUS_FILE in an ordinary user's folder");

/** Returns lines of sh that make a tree /mnt/exporter, which belongs to $user, and configure PROMETHEUS_FILE. */
function prepared(file = '/mnt/exporter/metrics/a.prom'): string {
  return `${forwarderDirectory(`PROMETHEUS_FILE=${file}`)}
user=4343; chmod 755 /mnt; mkdir -p /mnt/exporter/metrics /mnt/root; chown -R $user:$user /mnt/exporter
`;
}

/**
 * Runs `check` like the unit, which discards the report. In a namespace the verdict is unknown, so the exit code is 3.
 */
const check = '"$@" check >/dev/null || [ $? -eq 3 ];';

/** Returns the warning about PROMETHEUS_FILE from the log on stderr; '' if there is no warning. */
function warning({ stderr }: Ran): string {
  return /^<4>PROMETHEUS_FILE .*$/m.exec(stderr)?.[0] ?? '';
}

metrics('is written by root, readable by all, and the only file in its folder', () => {
  const ran =
    inNamespace(`${prepared()} ${check} ls -A /mnt/exporter/metrics; stat -c '%a %u' /mnt/exporter/metrics/a.prom;
    as $user grep -c '^immutafs_verdict{.* 1$' /mnt/exporter/metrics/a.prom`);
  assert.equal([ran.stdout, warning(ran)], ['a.prom\n644 0\n1\n', ''], ran.stderr);
});

metrics('a FIFO in its place is replaced, and is never opened', () => {
  const ran =
    inNamespace(`${prepared()} as $user mkfifo -m 666 /mnt/exporter/metrics/a.prom; wait_at /mnt/exporter/metrics/a.prom
    ${check} stat -c %F /mnt/exporter/metrics/a.prom; [ ! -e /mnt/opened ]`);
  assert.equal([ran.stdout, ran.code], ['regular file\n', 0], ran.stderr);
});

metrics('FIFOs with every possible temporary name do not block the check', () => {
  const ran = inNamespace(
    `${prepared()} as $user sh -c 'cd /mnt/exporter/metrics; for pid in $(seq 1 3000); do echo .a.prom.$pid; done | xargs mkfifo -m 666'
    unshare --pid --fork --mount-proc timeout -s KILL 30 "$@" check >/dev/null || [ $? -eq 3 ]; ls /mnt/exporter/metrics`,
  );
  assert.equal([ran.stdout, ran.code], ['a.prom\n', 0], ran.stderr);
});

for (const [title, script, refused] of [
  [
    'its folder',
    'as $user rmdir /mnt/exporter/metrics; as $user ln -s /mnt/root /mnt/exporter/metrics',
    '/mnt/exporter/metrics',
  ],
  [
    'a folder above it',
    'mkdir -p /mnt/root/metrics; chown $user /mnt; as $user mv /mnt/exporter /mnt/old; as $user ln -s /mnt/root /mnt/exporter',
    '/mnt/exporter',
  ],
  [
    'its folder, by a link of root in a folder of the user',
    'as $user rmdir /mnt/exporter/metrics; ln -s /mnt/root /mnt/exporter/metrics',
    '/mnt/exporter/metrics',
  ],
] as const) {
  metrics(`a link in the place of ${title}: nothing is written, and the warning names the link`, () => {
    const ran = inNamespace(`${prepared()} ${script}; ${check} find /mnt/root -type f`);
    assert.is(ran.stdout, '', ran.stderr);
    assert.is(
      warning(ran),
      `<4>PROMETHEUS_FILE cannot be written: ${refused} is a symbolic link that a user other than root can replace: use a path without it`,
    );
  });
}

metrics('a link that only root can replace is followed', () => {
  const ran =
    inNamespace(`${prepared('/mnt/root/link/metrics/a.prom')} ln -s ../exporter /mnt/root/link; ${check}
    ls /mnt/exporter/metrics`);
  assert.equal([ran.stdout, warning(ran)], ['a.prom\n', ''], ran.stderr);
});

metrics('a folder that alternates with a link never makes root write elsewhere', () => {
  const program = `
import { systemWriter } from '/media/agent/system/writer.ts';
let written = 0;
for (let tries = 0; tries < 3000; tries++) {
  try { systemWriter().writeAtomically('/mnt/exporter/metrics/a.prom', 'x', 0o644); written++; } catch {}
}
process.stdout.write(written > 0 ? 'written ' : '');
`;
  const ran = inNamespace(`${prepared()}
as $user /usr/bin/python3 -c '
import os
while True:
    os.rename("/mnt/exporter/metrics", "/mnt/exporter/other"); os.symlink("/mnt/root", "/mnt/exporter/metrics")
    os.unlink("/mnt/exporter/metrics"); os.rename("/mnt/exporter/other", "/mnt/exporter/metrics")
' & swap=$!
trap 'kill $swap' EXIT
"$1" "$2" --input-type=module -e "${program}"; ls -A /mnt/root`);
  assert.is(ran.stdout, 'written ', ran.stderr);
});

metrics.run();
