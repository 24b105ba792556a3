/** Compares the tables of controls and rules with the content of ComplianceAsCode for RHEL, and runs OpenSCAP on it. */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { controls } from '../../agent/controls/controls.ts';
import { expand, rowOf, ruleRows, tailoringFile } from '../../docs/compliance.ts';
import { unpack } from '../harness/unpack.ts';

const openscap = suite('ComplianceAsCode and OpenSCAP');

const releases = ['8', '9', '10'] as const;
const content = path.join(
  unpack('scap', ['ssg-nondebian'], ['./usr/share/xml/scap/ssg/content/ssg-rhel*']),
  'usr/share/xml/scap/ssg/content',
);

/** Of each rule: the numbers of the frameworks, by release. */
interface Numbers {
  stig: Map<string, string>;
  cis: Map<string, string>;
}

/** Where the content names the documents of DISA and CIS. */
const documents = {
  stig: 'https://public.cyber.mil/stigs/downloads/?_dl_facet_stigs=operating-systems%2Cunix-linux',
  cis: 'https://www.cisecurity.org/benchmark/red_hat_linux/',
};

const rules = readRules();

function readRules(): Map<string, Numbers> {
  const found = new Map<string, Numbers>();
  for (const release of releases) {
    const text = fs.readFileSync(path.join(content, `ssg-rhel${release}-xccdf.xml`), 'utf8');
    for (const [, name = '', body = ''] of text.matchAll(
      /<xccdf-1\.2:Rule [^>]*id="xccdf_org\.ssgproject\.content_rule_([^"]+)"[^>]*>([^]*?)<\/xccdf-1\.2:Rule>/g,
    )) {
      const numbers = found.get(name) ?? { stig: new Map(), cis: new Map() };
      found.set(name, numbers);
      for (const [, href = '', text = ''] of body.matchAll(
        /<xccdf-1\.2:reference href="([^"]*)">([^<]*)<\/xccdf-1\.2:reference>/g,
      )) {
        if (href === documents.stig) numbers.stig.set(release, text);
        if (href === documents.cis) numbers.cis.set(release, text);
      }
    }
  }
  return found;
}

openscap('the content was read', () => {
  assert.ok(rules.size > 1000, String(rules.size));
});

openscap('each control that names a rule has the numbers of this rule, and no rule is left out', () => {
  for (const [framework, key] of [
    ['disa-stig', 'stig'],
    ['cis', 'cis'],
  ] as const) {
    const own = controls.filter((each) => each.framework === framework);
    for (const { rule = '', ids } of own) {
      const numbers = [...(rules.get(rule)?.[key] ?? [])];
      const values = [...new Set(numbers.map(([, number]) => number))];
      const named = values.map(
        (value) =>
          `${value} (RHEL ${numbers
            .filter(([, number]) => number === value)
            .map(([release]) => release)
            .join(', ')})`,
      );
      assert.equal(ids, framework === 'cis' ? named : values, rule);
    }
  }
  const named = controls.flatMap(({ rule }) => rule ?? []);
  const missing = [...new Set(named)].filter(
    (rule) => (rules.get(rule)?.stig.size ?? 0) + (rules.get(rule)?.cis.size ?? 0) === 0,
  );
  assert.equal(missing, []);
});

openscap('each rule on partitions, mount options, audit, logs, AIDE, GRUB and kexec has a row', () => {
  const group =
    /^(partition_for|mount_option|audit|auditd|rsyslog|journald|aide|grub2)_|^(sysctl_kernel|kernel_config)_kexec/;
  const without = [...rules.keys()].filter((rule) => group.test(rule) && rowOf(rule) === undefined);
  assert.equal(without, []);
});

openscap('each name in a row is a rule, and is not hidden by an earlier row', () => {
  for (const row of ruleRows) {
    for (const name of row.rules.flatMap(expand)) {
      const pattern = new RegExp(`^${name.split('*').join('.*')}$`);
      const own = [...rules.keys()].filter((rule) => pattern.test(rule));
      assert.ok(
        own.some((rule) => rowOf(rule) === row),
        name,
      );
    }
  }
});

openscap('the tailoring file is valid', () => {
  const { status, stderr } = spawnSync('oscap', ['xccdf', 'validate', '--skip-schematron', tailoringFile], {
    encoding: 'utf8',
  });
  assert.is(status, 0, stderr);
});

/** Returns the rules of a profile for RHEL 9. */
function rulesOf(profile: string, ...options: string[]): Set<string> {
  const source = path.join(content, 'ssg-rhel9-ds.xml');
  const guide = execFileSync(
    'oscap',
    ['xccdf', 'generate', 'guide', '--profile', profile, ...options, source],
    { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  return new Set([...guide.matchAll(/content_rule_([\w-]+)/g)].map(([, name = '']) => name));
}

openscap('a tailored profile lacks the rules that a check replaces, and no other rule', () => {
  const plain = rulesOf('xccdf_org.ssgproject.content_profile_stig');
  const tailored = rulesOf('xccdf_org.immutafs_profile_stig', '--tailoring-file', tailoringFile);
  const gone = [...plain].filter((rule) => !tailored.has(rule));
  const replaced = [...plain].filter((rule) => rowOf(rule)?.instead !== undefined);
  assert.ok(replaced.length > 0 && tailored.size > 100);
  assert.equal(gone.toSorted(), replaced.toSorted());
});

openscap.run();
