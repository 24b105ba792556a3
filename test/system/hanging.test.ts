/** A file system whose server never answers. */
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inNamespace, reportOf, said } from '../support/namespace.ts';

const hanging = suite('a file system that hangs');

/** Mounts a FUSE file system at /mnt/hang whose daemon reads no request. */
const hang = `
mkdir /mnt/hang /mnt/upper /mnt/work
python3 ${path.join(import.meta.dirname, '../support/hang.py')} /mnt/hang & daemon=$!
trap 'kill -9 $daemon' EXIT
while ! grep -q /mnt/hang /proc/self/mountinfo; do sleep 0.05; done
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work conf /etc
mkdir -p /etc/immutafs /etc/sysconfig
`;
const hangToo = `
python3 ${path.join(import.meta.dirname, '../support/hang.py')} /etc/sysconfig & too=$!
trap 'kill -9 $daemon $too' EXIT
while ! grep -q ' /etc/sysconfig ' /proc/self/mountinfo; do sleep 0.05; done
`;

hanging('the checks that need it are errors, the others still answer, and it ends in time', () => {
  const config =
    'MODE=sealed\\nREQUIRE_READONLY=/ /mnt/hang /mnt/hang/below\\nREQUIRE_OPTIONS=/mnt/hang:noexec,nodev /tmp:nodev\\n';
  const began = Date.now();
  const ran = inNamespace(
    `${hang} ${hangToo} printf '${config}' >/etc/immutafs/immutafs.conf; "$@" status --json --probe`,
  );
  const seconds = (Date.now() - began) / 1000;
  const report = reportOf(ran);
  assert.match(said(report, 'root-write-probe'), /error|fail/);
  assert.is(said(report, 'exec-probe'), 'error: /mnt/hang: no answer in time, the file system hangs');
  assert.is(
    said(report, 'rivals-off'),
    'error: /etc/sysconfig/readonly-root: not touched, since fuse at /etc/sysconfig may hang',
  );
  assert.match(said(report, 'mtab-link'), /pass|fail/);
  assert.match(said(report, 'config-valid'), 'pass');
  assert.ok(seconds < 25, `${seconds} s`);
});

hanging('a hanging target is never taken for one that is not there', () => {
  const config = 'MODE=sealed\\nREQUIRE_READONLY=/mnt/hang/below\\n';
  const ran = inNamespace(`${hang} printf '${config}' >/etc/immutafs/immutafs.conf; "$@" status --json`);
  const report = reportOf(ran);
  // This machine's / is tried, too, and may be writable.
  const probe = report.checks.find(({ id }) => id === 'root-write-probe');
  assert.match(probe?.status ?? '', /^(error|fail)$/);
  assert.match(`${probe?.subject} ${probe?.observed}`, '/mnt/hang/below');
  assert.not.match(said(report, 'boot-readonly'), 'skip');
});

hanging.run();
