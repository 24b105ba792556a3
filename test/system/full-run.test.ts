/** Tests `check` if no file in /run/immutafs can be written. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inNamespace } from '../harness/namespace.ts';

const full = suite('check with a full /run');

/** Returns the results of `check --json` with a private /run that a script has prepared. */
function check(script: string): { exit: string; verdict: string; log: string[]; left: string } {
  const ran = inNamespace(`mount -t tmpfs -o size=1m,nr_inodes=20,mode=0755 run /run; mkdir /run/immutafs
    ${script}; code=0; "$@" check --boot --json >/mnt/report || code=$?
    echo exit $code; grep '"verdict"' /mnt/report; ls -A /run/immutafs`);
  const [exit = '', verdict = '', ...left] = ran.stdout.split('\n');
  return { exit, verdict: verdict.trim(), log: ran.stderr.split('\n'), left: left.join(' ').trim() };
}

const good = check(':');
const warnings = (log: string[]) => log.filter((line) => line.includes('cannot be written'));

full('with enough space, the report is written without a warning', () => {
  assert.is(good.left, 'boot-state.json login report.json');
  assert.equal(warnings(good.log), []);
});

for (const [title, script, reason] of [
  ['bytes', 'dd if=/dev/zero of=/run/rest bs=4k 2>/dev/null || :', 'no space left on device'],
  ['inodes', 'for n in $(seq 30); do touch /run/$n 2>/dev/null || break; done', 'no space left on device'],
  ['being writable', 'mount -o remount,ro /run', 'read-only file system'],
] as const) {
  full(`without ${title}: verdict and exit code are the same, and each missing file is a warning`, () => {
    const { exit, verdict, log, left } = check(script);
    assert.equal([exit, verdict, left], [good.exit, good.verdict, '']);
    assert.ok(log.some((line) => line.startsWith('<3>Verdict: unknown ')));
    assert.equal(warnings(log), [
      `<4>The report cannot be written: /run/immutafs/report.json: ${reason}`,
      `<4>The login message cannot be written: /run/immutafs/login: ${reason}`,
      `<4>The state at boot cannot be written: /run/immutafs/boot-state.json: ${reason}`,
    ]);
  });
}

full.run();
