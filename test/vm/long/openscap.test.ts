/**
 * Scans a guest with OpenSCAP while it is open and when it is sealed, and compares the results with docs/compliance.md. In
 * between, `prepare` closes the bypasses of noexec and gives /dev/shm its line in fstab.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RuleRow, rowOf } from '../../../docs/compliance.ts';
import { unpack } from '../../harness/unpack.ts';
import { agentTree } from '../harness/agent.ts';
import { treeWithPackages } from '../harness/packages.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import { type Boot, assertSealed, editFile, look, withAgent } from '../harness/scenario.ts';

const openscap = suite('OpenSCAP');

const content = join(
  unpack('scap-debian', ['ssg-debian']),
  'usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml',
);
const prefix = 'xccdf_org.ssgproject.content_rule_';
/** The rule demands the option `database` in aide.conf, which AIDE 0.19 of Debian 13 does not know. */
const impossible = 'aide_build_database';

/** Returns the rules for Debian that docs/compliance.md names, with their rows. */
async function namedRules(): Promise<Map<string, RuleRow>> {
  const text = await readFile(content, 'utf8');
  const all = [...text.matchAll(new RegExp(`Rule [^>]*id="${prefix}([^"]+)"`, 'g'))];
  return new Map(
    all.flatMap(([, rule = '']) => {
      const row = rowOf(rule);
      return row === undefined || rule === impossible ? [] : [[rule, row] as const];
    }),
  );
}

/** Returns a profile with these rules only. */
function profile(rules: Iterable<string>): string {
  const selects = [...rules].map((rule) => `<select idref="${prefix}${rule}" selected="true"/>`);
  return `<Tailoring xmlns="http://checklists.nist.gov/xccdf/1.2" id="xccdf_test_tailoring_a"><version time="2026-01-01T00:00:00">1</version>
<Profile id="xccdf_test_profile_a"><title>a</title>${selects.join('')}</Profile></Tailoring>`;
}

/** Returns a step that scans by the profile, or by one rule of it. The validation would take half of the time. */
const scanOf = (rule?: string) =>
  `oscap xccdf eval --skip-validation --tailoring-file "$BOX/profile.xml" --profile xccdf_test_profile_a ${rule === undefined ? '' : `--rule ${prefix}${rule}`} "$BOX/content.xml"; [ $? -ne 1 ]`;

function resultsOf(boot: Boot, step: string): Map<string, string> {
  const { stdout, stderr, exit } = boot.step(step);
  assert.is(exit, 0, stderr);
  const found = [...stdout.matchAll(new RegExp(`^Rule\\s+${prefix}(\\S+)$[^]*?^Result\\s+(\\S+)$`, 'gm'))];
  return new Map(found.map(([, rule = '', result = '']) => [rule, result]));
}

/** The content knows no later release than Debian 12. The rules read mounts and configuration files. */
const edit = async (root: string) => {
  await writeFile(join(root, 'etc/debian_version'), '12.9\n');
  await editFile(join(root, 'etc/fstab'), (text) => text.replace(/^.* \/dev\/shm .*\n/m, ''));
};

openscap('the results of a sealed guest are those that the page names', async () => {
  const rules = await namedRules();
  assert.ok(rules.size > 100, String(rules.size));
  const tree = await treeWithPackages('openscap-tree', await agentTree(), ['openscap-scanner', 'aide']);
  await withRunFolder((folder) =>
    withAgent({ tree, edit }, async (guest) => {
      const file = join(folder, 'profile.xml');
      await writeFile(file, profile(rules.keys()));
      const boot = (disk: 'writable' | 'readonly', steps: Record<string, string>) =>
        guest.boot({
          disk,
          steps,
          files: { 'profile.xml': file, 'content.xml': content },
          allUnits: true,
          memoryMiB: 2048,
          limitSeconds: 900,
        });
      const open = await boot('writable', {
        scan: scanOf(),
        prepare: 'immutafs-agent prepare --apply --yes --only fstab,exec --close-bypasses',
      });
      assert.is(open.step('prepare').exit, 0, open.step('prepare').stdout);
      const sealed = await boot('readonly', {
        ...look,
        scan: scanOf(),
        loose: `mount -o remount,exec /tmp && ${scanOf('mount_option_tmp_noexec')}`,
      });
      assertSealed(sealed);
      const [before, after] = [resultsOf(open, 'scan'), resultsOf(sealed, 'scan')];
      assert.is(after.size, rules.size);
      assert.equal(differences(rules, before, after), []);
      // The twin: a mount has lost an option.
      const loose = new Map([...after, ...resultsOf(sealed, 'loose')]);
      assert.equal(differences(rules, before, loose), ['mount_option_tmp_noexec: passes: pass -> fail']);
      // What `prepare` changed.
      const fixed = ['mount_option_dev_shm_nosuid', 'sysctl_kernel_yama_ptrace_scope'];
      assert.equal(
        fixed.map((rule) => before.get(rule)),
        ['fail', 'fail'],
      );
    }),
  );
});

/**
 * Returns the rules whose result is not the one that the page names. A rule that is not applicable, or that needs the
 * Internet, has no result.
 */
function differences(
  rules: ReadonlyMap<string, RuleRow>,
  open: ReadonlyMap<string, string>,
  sealed: ReadonlyMap<string, string>,
): string[] {
  return [...rules].flatMap(([rule, { outcome }]) => {
    const [before, after] = [open.get(rule), sealed.get(rule)];
    const expected = { passes: 'pass', fails: 'fail', unaffected: before, conflicts: after }[outcome];
    const isAbsent = ['notapplicable', 'notchecked'].includes(before ?? '') && after === before;
    return after === expected || isAbsent ? [] : [`${rule}: ${outcome}: ${before} -> ${after}`];
  });
}

openscap.run();
