/**
 * node test/el/run.ts [RELEASE…]: runs the scenarios in guests of these releases of RHEL, by default of all, one after the other.
 * A line for each; the last line is `N passed, N failed`. Exit code 77 if the sources of RHEL are not there: nothing ran then.
 */
import { runFile } from '../harness/runner/run-file.ts';
import { type RhelRelease, rhelReleases } from './releases.ts';
import { MissingSources } from './sources.ts';
import { requireSources } from './tree.ts';

/** As a test suite says that it was skipped (automake, `info automake 'Scripts-based Testsuites'`). */
const notRun = 77;

/** The first scenario of a release builds its tree. */
const limitSeconds = 5400;

/**
 * Scenarios that are not only for RHEL: installing and erasing the package, `prepare` with undo, the rehearsal, PERSIST, SCRATCH,
 * SEED, the audit trail, forwarding, `changes`, foreign programs, and updates.
 */
const shared = [
  'smoke/prepare',
  'smoke/forward',
  'matrix/audit',
  'matrix/changes',
  'matrix/package',
  'matrix/persist',
  'matrix/prepare',
  'matrix/rehearse',
  'matrix/sealed-runtime',
  'long/package',
  'long/scratch',
  'long/seed',
  'long/update',
].map((name) => `test/vm/${name}.test.ts`);

async function main(names: readonly string[]): Promise<number> {
  const known = Object.keys(rhelReleases) as RhelRelease[];
  const unknown = names.filter((name) => !known.some((each) => each === name));
  if (unknown.length > 0)
    throw new Error(`unknown release ${unknown.join(' ')}: expected ${known.join(', ')}`);
  const releases = known.filter((each) => names.length === 0 || names.includes(each));
  try {
    requireSources(releases);
  } catch (error) {
    if (!(error instanceof MissingSources)) throw error;
    process.stdout.write(`${error.message}\nNothing was run.\n`);
    return notRun;
  }
  const counts = { passed: 0, failed: 0 };
  for (const release of releases)
    for (const file of ['test/el/scenarios/sealed.ts', ...shared]) {
      process.env['GUEST_RELEASE'] = release;
      const { passed, failed, problem, output, seconds } = await runFile(process.cwd(), file, limitSeconds);
      counts.passed += passed;
      counts.failed += failed;
      process.stdout.write(
        `${problem === '' ? 'passed' : 'failed'}  ${release} ${file}  (${passed}, ${seconds.toFixed(0)} s)\n`,
      );
      if (problem !== '') process.stdout.write(`${problem}\n${output}\n`);
    }
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
