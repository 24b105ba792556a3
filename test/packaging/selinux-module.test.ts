import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { inRoot } from '../../packaging/build/paths.ts';
import { buildRpm } from '../../packaging/rpm.ts';
import { rootSuite, type ScratchRoot } from './scratch-root.ts';
import { assertQuiet, run, type Outcome } from './support.ts';

const scriptlets = rootSuite('scriptlets: the SELinux module', (root) => {
  for (const program of ['semodule', 'restorecon', 'load_policy']) root.stub(program);
});
const cil = '/usr/share/immutafs-agent/immutafs.cil';
const rpm = await buildRpm();

/** Makes a policy with its module store, which RHEL 7 keeps below /etc/selinux. */
function addPolicy(root: ScratchRoot, type = 'targeted', store = `var/lib/selinux/${type}`): void {
  root.write('etc/selinux/config', `# SELINUXTYPE= can be one of\nSELINUX=enforcing\nSELINUXTYPE=${type}\n`);
  root.makeDirectory(`${store}/active/modules`);
}

const selinuxCalls = (root: ScratchRoot): string[] =>
  root
    .calls()
    .map((line) => line.trimEnd())
    .filter((line) => /^(semodule|restorecon|load_policy)\b/.test(line));
const added = `semodule -n -s targeted -X 200 -i ${cil}`;
const labelledPaths = ['/usr/bin/immutafs-agent', '/usr/libexec/immutafs', '/etc/immutafs'];
const labelled = labelledPaths.map((path) => `restorecon -R -F ${path}`);
const removed = 'semodule -n -s targeted -X 200 -r immutafs';

scriptlets('rpm installs, upgrades and erases: the module is added, replaced and removed', ({ root }) => {
  addPolicy(root);
  assertQuiet(root.rpm(['-i', '--nodeps', rpm]));
  assert.equal(selinuxCalls(root), [added, ...labelled]);
  root.makeDirectory('var/lib/selinux/targeted/active/modules/200/immutafs');
  assertQuiet(root.rpm(['-U', '--nodeps', '--force', rpm]));
  assert.equal(selinuxCalls(root), [added, ...labelled]);
  assertQuiet(root.rpm(['-e', 'immutafs-agent']));
  assert.equal(selinuxCalls(root), [removed]);
});

scriptlets('the module store of RHEL 7', ({ root }) => {
  addPolicy(root, 'targeted', 'etc/selinux/targeted');
  assertQuiet(post(root));
  assert.equal(selinuxCalls(root), [added, ...labelled]);
  assertQuiet(postun(root));
  assert.equal(selinuxCalls(root), [removed]);
});

for (const store of ['etc/selinux/targeted', 'var/lib/selinux/targeted'])
  scriptlets(
    `${store}: a module of an earlier version, which made the domains permissive, is removed`,
    ({ root }) => {
      addPolicy(root, 'targeted', store);
      root.makeDirectory(`${store}/active/modules/200/immutafs-permissive`);
      assertQuiet(post(root));
      assert.equal(selinuxCalls(root), [added.replace('-i', '-r immutafs-permissive -i'), ...labelled]);
      assertQuiet(postun(root));
      assert.equal(selinuxCalls(root), [removed.replace('-r', '-r immutafs-permissive -r')]);
    },
  );

scriptlets(
  'a domain that an administrator has made permissive: stays so until the package is erased',
  ({ root }) => {
    addPolicy(root);
    for (const domain of ['immutafs_forward_t', 'httpd_t'])
      root.makeDirectory(`var/lib/selinux/targeted/active/modules/400/permissive_${domain}`);
    assertQuiet(post(root));
    assert.equal(selinuxCalls(root), [added, ...labelled]);
    assertQuiet(postun(root));
    const both = '-X 200 -X 400 -r permissive_immutafs_forward_t -X 200 -r immutafs';
    assert.equal(selinuxCalls(root), [removed.replace('-X 200 -r immutafs', both)]);
  },
);

scriptlets('the module store of Debian', ({ root }) => {
  addPolicy(root, 'default');
  assertQuiet(post(root));
  assert.equal(selinuxCalls(root), [added.replace('targeted', 'default'), ...labelled]);
  assertQuiet(postun(root));
  assert.equal(selinuxCalls(root), [removed.replace('targeted', 'default')]);
});

scriptlets('SELinux is enabled: the policy is loaded, and the state in /run has its labels', ({ root }) => {
  addPolicy(root);
  for (const folder of [
    ...['run/systemd/system', 'run/immutafs/forward', 'run/immutafs/identity', 'sys/fs/selinux'],
  ])
    root.makeDirectory(folder);
  root.write('sys/fs/selinux/enforce', '1');
  const state = ['forward', 'identity'].map((name) => `restorecon -R -F /run/immutafs/${name}`);
  assertQuiet(post(root));
  assert.equal(selinuxCalls(root), [added, 'load_policy', ...labelled, ...state]);
  assertQuiet(postun(root));
  assert.equal(selinuxCalls(root), [removed, 'load_policy', ...state]);
});

for (const [title, change] of [
  ['no configuration of SELinux', (root) => root.remove('etc/selinux')],
  ['a policy without a module store', (root) => root.remove('var/lib/selinux')],
  ['no semodule', (root) => root.remove('bin/semodule')],
  ['a running system without SELinux', (root) => root.makeDirectory('run/systemd/system')],
] satisfies [string, (root: ScratchRoot) => void][])
  scriptlets(`${title}: the module is not installed, and there is no message`, ({ root }) => {
    addPolicy(root);
    change(root);
    assertQuiet(post(root));
    assertQuiet(postun(root));
    assert.equal(selinuxCalls(root), []);
  });

scriptlets('semodule fails: the scriptlets succeed with one line, and nothing is relabelled', ({ root }) => {
  addPolicy(root);
  root.stub('semodule', 'printf "Failed to resolve typeattributeset\\nsemodule:  Failed!\\n" >&2; exit 1');
  const reason = 'Failed to resolve typeattributeset semodule:  Failed!';
  const failed = `immutafs-agent: the SELinux module is not installed, the services have no domain of their own: ${reason}\n`;
  assert.equal(post(root), { code: 0, stdout: '', stderr: failed });
  const kept = `immutafs-agent: the SELinux module immutafs is not removed: ${reason}\n`;
  assert.equal(postun(root), { code: 0, stdout: '', stderr: kept });
  assert.equal(selinuxCalls(root), [added, removed]);
});

for (const [exit, program, reason] of [
  [124, 'semodule', 'semodule did not end within 300 s: Compiling'],
  [137, 'load_policy', 'load_policy did not end within 60 s: Compiling'],
] as const)
  scriptlets(`${program} does not end in time: one line with the limit`, ({ root }) => {
    addPolicy(root);
    root.write('sys/fs/selinux/enforce', '1');
    // timeout(1) exits with these codes at its limit.
    root.stub(program, `echo Compiling; exit ${exit}`);
    const { code, stderr } = post(root);
    assert.is(code, 0);
    assert.match(
      stderr,
      new RegExp(`^immutafs-agent: the SELinux module is not installed, .*: ${reason}\n$`),
    );
  });

scriptlets('load_policy fails: one line, and nothing is relabelled', ({ root }) => {
  addPolicy(root);
  root.write('sys/fs/selinux/enforce', '1');
  root.stub('load_policy', 'echo "no memory" >&2; exit 2');
  const { code, stderr } = post(root);
  assert.is(code, 0);
  assert.match(stderr, /^immutafs-agent: the SELinux module is not installed, .*: no memory\n$/);
  assert.equal(selinuxCalls(root), [added, 'load_policy']);
});

scriptlets('restorecon fails: a message, and the scriptlet succeeds', ({ root }) => {
  addPolicy(root);
  root.stub('restorecon', '[ "$3" != /etc/immutafs ] || { echo "read-only" >&2; exit 1; }');
  const stderr = 'immutafs-agent: restorecon -R -F /etc/immutafs failed, ignoring: read-only\n';
  assert.equal(post(root), { code: 0, stdout: '', stderr });
});

scriptlets('each program with a type of its own is in the package', () => {
  const files = run('rpm', ['-qlp', rpm]).stdout.split('\n');
  const text = readFileSync(inRoot('packaging/selinux/immutafs.cil'), 'utf8');
  const labelledFiles = [...text.matchAll(/^\(filecon "(\/[^"(]+)" file /gm)].map(([, path = '']) => path);
  assert.ok(labelledFiles.length > 5);
  for (const path of labelledFiles) assert.ok(files.includes(path), path);
  assert.ok(files.includes(cil));
});

scriptlets('outside optional blocks, the module uses only names of every supported policy', () => {
  const text = readFileSync(inRoot('packaging/selinux/immutafs.cil'), 'utf8').replace(/;.*$/gm, '');
  const required = statements(text).filter((statement) => !statement.startsWith('(optional'));
  assert.ok(required.length > 50 && required.length < statements(text).length);
  for (const name of ['process2', 'map', 'watch', 'nnp_transition', 'getrlimit'])
    assert.equal(
      required.filter((statement) => new RegExp(`[( ]${name}[) ]`).test(statement)),
      [],
      name,
    );
  const names = required.flatMap((statement) => statement.match(/\b\w+_t\b/g) ?? []);
  const foreign = new Set(names.filter((name) => !name.startsWith('immutafs_')));
  assert.equal(
    [...foreign].filter((name) => !commonTypes.has(name)),
    [],
  );
});

scriptlets('systemd may mount on the directories that the sandbox of the forwarder changes', () => {
  // The other directories have types of mount points in each policy. With the boolean init_create_dirs, which may be off, systemd
  // may mount on nearly every directory.
  const unit = readFileSync(inRoot('units/immutafs-forward.service'), 'utf8');
  assert.match(unit, /^ReadWriteDirectories=-\/run\/immutafs\/forward$/m);
  assert.match(unit, /^InaccessibleDirectories=.* -\/etc\/pki\/tls\/private$/m);
  const rules = statements(
    readFileSync(inRoot('packaging/selinux/immutafs.cil'), 'utf8').replace(/;.*$/gm, ''),
  );
  for (const type of ['immutafs_forward_state_t', 'cert_t'])
    assert.ok(
      rules.some((rule) => rule.startsWith(`(allow init_t ${type} (dir (`) && /[( ]mounton[) ]/.test(rule)),
      type,
    );
});

/** Types of the policy of RHEL 7 to 10 (fedora-selinux/selinux-policy) and of the reference policy. */
const commonTypes = new Set(
  (
    'auditd_log_t bin_t cert_t cgroup_t default_t devlog_t etc_runtime_t etc_t fs_t home_root_t init_t kernel_t ld_so_cache_t ' +
    'ld_so_t lib_t locale_t mnt_t net_conf_t null_device_t proc_net_t proc_t random_device_t root_t security_t ' +
    'selinux_config_t ' +
    'shell_exec_t sysctl_kernel_t sysctl_net_t sysctl_t sysctl_vm_t sysfs_t syslogd_t tmpfs_t unlabeled_t ' +
    'urandom_device_t usr_t var_lib_t var_log_t var_run_t var_t'
  ).split(' '),
);

/** Splits CIL into its statements. */
function statements(text: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let current = '';
  for (const character of text) {
    if (character === '(') depth++;
    if (depth > 0) current += character;
    if (character === ')' && --depth === 0) {
      found.push(current.replace(/\s+/g, ' '));
      current = '';
    }
  }
  return found;
}

/** Runs the scriptlet after an installation, which finds the files of the package. */
function post(root: ScratchRoot): Outcome {
  for (const path of labelledPaths) {
    root.makeDirectory(path.slice(1));
  }
  root.stub('immutafs-boot', '', 'usr/libexec/immutafs');
  return scriptlet(root, 'POSTIN', '1');
}

/** Runs the scriptlet after the package was erased. */
function postun(root: ScratchRoot): Outcome {
  return scriptlet(root, 'POSTUN', '0');
}

function scriptlet(root: ScratchRoot, tag: string, argument: string): Outcome {
  const text = run('rpm', ['-qp', '--qf', `%{${tag}}`, rpm]).stdout;
  return run('chroot', [root.folder, '/bin/sh', '-c', text, 'scriptlet', argument]);
}

scriptlets.run();
