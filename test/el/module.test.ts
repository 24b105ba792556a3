/**
 * Compiles the SELinux module with the policy of each release of RHEL, as semodule(8) does it with expand-check=1. Needs the
 * sources of RHEL (`EL_SOURCES`); the policies that it builds from them stay in the cache.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../packaging/build/paths.ts';
import { type PolicyRelease, policySources } from './policy-sources.ts';
import { policy } from './policy.ts';

const module = inRoot('packaging/selinux/immutafs.cil');

/** The optional blocks, each with a name that some policies lack, and with the reason for that. */
const reasons = {
  io_uring: ['anon_inode', 'io_uring has no objects of its own in Linux 3.10 and 4.18'],
  generator: [
    'systemd_generator_t',
    'a type of the reference policy; in RHEL, generators run in the domain of systemd',
  ],
  generator_tls: ['systemd_generator_t', 'a type of the reference policy, as above'],
  lockdown: ['lockdown', 'the kernels of these releases do not ask for it'],
  init_domain: ['init_domain_type', 'an attribute of the reference policy'],
  capability2: ['perfmon', 'Linux 3.10 and 4.18 lack this capability'],
  forward_getrlimit: ['getrlimit', 'Linux 3.10 does not ask for it'],
  forward_resolved: [
    'systemd_resolved_runtime_t',
    'a type of the reference policy; RHEL has forward_resolved_el',
  ],
  forward_journalctl: [
    'systemd_journalctl_exec_t',
    'a type of the reference policy; RHEL has forward_journalctl_el',
  ],
  forward_units_reference: ['systemd_unit_t', 'a type of the reference policy; RHEL has forward_units'],
  forward_journal: [
    'systemd_journal_t',
    'a type of the reference policy; in RHEL, the journal has types of logs',
  ],
  forward_journal_run_watch: ['watch', 'Linux 3.10 and 4.18 do not ask for it'],
  forward_watch: ['watch', 'Linux 3.10 and 4.18 do not ask for it'],
} as const;
type Block = keyof typeof reasons;

const everywhere: readonly Block[] = [
  ...(['init_domain', 'forward_resolved', 'forward_journalctl', 'forward_units_reference'] as const),
  ...(['forward_journal', 'generator', 'generator_tls'] as const),
];
const untilEl8: readonly Block[] = [
  ...everywhere,
  ...(['io_uring', 'lockdown', 'capability2'] as const),
  ...(['forward_journal_run_watch', 'forward_watch'] as const),
];

/** The optional blocks that each policy drops. */
const dropped: Readonly<Record<PolicyRelease, readonly Block[]>> = {
  'el7.7': [...untilEl8, 'forward_getrlimit'],
  el8: untilEl8,
  el9: [...everywhere, 'lockdown'],
  el10: everywhere,
};

/** Rules that the neverallow rules of each policy forbid to the domains, one in a line. */
const forbidden = `(allow immutafs_forward_t shadow_t (file (read)))
(allow immutafs_forward_t shadow_t (file (write)))
(allow immutafs_forward_t semanage_store_t (file (relabelto)))
(allow immutafs_forward_t self (process (setcurrent)))
(allow immutafs_forward_t memory_device_t (chr_file (read)))
(allow immutafs_forward_t fixed_disk_device_t (blk_file (write)))
`;

const compiled = suite('the SELinux module and the policies of RHEL');

for (const release of Object.keys(policySources) as PolicyRelease[]) {
  compiled(
    `${release}: it loads with neverallow rules in force, and the policy drops known optional blocks`,
    async () => {
      const base = join(await policy(release), 'base.cil');
      const { code, blocks, output } = await compile(base, module);
      assert.is(code, 0, output);
      assert.equal(blocks.toSorted(), dropped[release].toSorted());
      const text = readFileSync(base, 'utf8');
      for (const block of Object.keys(reasons) as Block[]) {
        const [name, reason] = reasons[block];
        assert.is(
          !declares(text, name),
          dropped[release].includes(block),
          `${block} needs ${name}: ${reason}`,
        );
      }
    },
  );

  compiled(`${release}: each rule that a neverallow rule forbids is refused`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'el-module-'));
    try {
      const [base, added] = [join(folder, 'base.cil'), join(folder, 'added.cil')];
      const text = readFileSync(join(await policy(release), 'base.cil'), 'utf8');
      // Other rules do not matter here, and take most of the time.
      await writeFile(base, text.replaceAll(/^(?: {4})?\((?:allow|dontaudit|typetransition) .*\n/gm, ''));
      await writeFile(
        added,
        `${forbidden}(optional immutafs_probe\n  (allow immutafs_t no_such_t (file (read))))\n`,
      );
      const { code, blocks, output } = await compile(base, module, added);
      assert.is.not(code, 0);
      assert.ok(blocks.includes('probe'));
      const violations = [...output.matchAll(/^\s*allow at (\S+):(\d+)$/gm)].map(
        ([, file = '', line]) => `${basename(file)} ${line}`,
      );
      const lines = forbidden
        .trimEnd()
        .split('\n')
        .map((_, index) => `added.cil ${index + 1}`);
      assert.equal([...new Set(violations)].toSorted(), lines);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
}

interface Compiled {
  code: number | undefined;
  /** The optional blocks of the module that were left out, without the prefix that all have. */
  blocks: string[];
  /** What the compiler printed, without its messages about optional blocks. */
  output: string;
}

async function compile(...files: string[]): Promise<Compiled> {
  const options = ['-v', '-v', '-v', '-o', '/dev/null', '-f', '/dev/null'];
  const { exitCode, all } = await execa('secilc', [...options, ...files], {
    all: true,
    reject: false,
    maxBuffer: 1e9,
  });
  const blocks = all.matchAll(/^Disabling optional 'immutafs_(\w+)' at /gm);
  return {
    code: exitCode,
    blocks: [...new Set(Array.from(blocks, ([, name = '']) => name))],
    output: all.replaceAll(/^(?:Disabling optional|Failed to resolve) .*\n/gm, ''),
  };
}

/** Whether a policy in CIL declares a type, attribute, class or permission. */
const declares = (text: string, name: string): boolean =>
  new RegExp(`^\\((?:type|typeattribute|class) ${name}\\b|^\\((?:class|common) .*\\b${name}\\b`, 'm').test(
    text,
  );

compiled.run();
