import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ansibleLint } from './collection.ts';
import { bootDirectives } from './directives.ts';
import { scripts } from './files.ts';
import { documentCommands, documentPaths, forbiddenWords, versions } from './documents.ts';
import { layers } from './layers.ts';
import { neutral } from './neutral.ts';
import { programOptions } from './options.ts';
import { shapeOfStatus, stalePictures } from './pictures.ts';
import { oxfmt, oxlint, tsc } from './programs.ts';
import { busybox, dash, shellcheck, specialBuiltins } from './shell.ts';
import { exposure, systemdAnalyze } from './units.ts';
import { walks } from './walks.ts';

const lint = suite('the linters of this project');
const home = process.cwd();

lint.before.each(() => {
  process.chdir(fs.mkdtempSync(path.join(os.tmpdir(), 'immutafs-lint-')));
  execFileSync('git', ['init', '--quiet']);
});

lint.after.each(() => {
  const folder = process.cwd();
  process.chdir(home);
  fs.rmSync(folder, { recursive: true });
});

function write(file: string, text: string): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
}

/** Copies a file of the project into the current folder. */
function copy(file: string): void {
  fs.copyFileSync(path.join(home, file), file);
}

lint("oxlint: applies the project's rules, including those that need types", async () => {
  copy('.oxlintrc.json');
  write('tsconfig.json', '{ "compilerOptions": { "strict": true } }');
  write('agent/one.ts', 'export const one = async () => await Promise.resolve(1);\nvoid one();\n');
  assert.is(await oxlint(), '');
  write('agent/two.ts', "import { one } from './one';\none();\nconsole.log(process);\n");
  write('three.cjs', 'nothing();\n');
  const problems = await oxlint();
  for (const rule of ['typescript(no-floating-promises)', 'eslint(no-console)', 'eslint(no-undef)']) {
    assert.match(problems, rule);
  }
});

lint(
  'what immutafs-boot imports: Node, packages, and functions that QuickJS lacks are reported',
  async () => {
    write(
      'boot/main.ts',
      "import { one } from '../agent/one.ts';\nimport type { Stats } from 'node:fs';\nexport const two = one as unknown as Stats;\n",
    );
    write('agent/one.ts', 'export const one = 1;\nexport const unused = () => Buffer.from("");\n');
    write('dracut/60.rules', '# DRIVERS=="virtio_pci"\n');
    assert.is(await neutral(), '');
    write(
      'agent/one.ts',
      "import path from 'node:path';\nexport const one = path.join(Buffer.from('x').toString());\n",
    );
    write('dracut/60.rules', 'DRIVERS=="virtio-pci"\n');
    write('agent/assess/two.ts', "export const isSealed = (driver: string) => driver === 'vmw_pvscsi';\n");
    assert.equal((await neutral()).split('\n').toSorted(), [
      'agent/assess/two.ts has a rule of the seal (vmw_pvscsi): use agent/facts/disks/evidence.ts',
      'agent/one.ts imports node:path, which immutafs-boot does not have',
      'dracut/60.rules has a rule of the seal (virtio-pci): call immutafs-boot',
      'immutafs-boot does not have Buffer',
    ]);
  },
);

lint('special builtins: their redirections are reported, and those of other commands are not', () => {
  write(
    'units/good',
    '#!/bin/sh\nset -- $(stat x 2>/dev/null)\nprintf "" >x || : # : >x\ncommand exec 9<x || exit\n',
  );
  assert.is(specialBuiltins(), '');
  write(
    'units/bad',
    '#!/bin/sh\n[ -e x ] || : >x\n{ true; } && exec 9<x\nif : >"$x"; then export A >x; fi\n',
  );
  assert.equal(
    specialBuiltins()
      .split('\n')
      .map((line) => line.split(' ')[0]),
    ['units/bad:2:', 'units/bad:3:', 'units/bad:4:'],
  );
});

lint('oxfmt: files in another format are reported', async () => {
  copy('.oxfmtrc.json');
  write('one.ts', "export const one = 'one';\n");
  write('page.css', 'a {\n  color: red;\n}\n');
  write('list.yml', '- 1\n');
  assert.is(await oxfmt(), '');
  write('one.ts', 'export const one = "one"\n');
  write('page.css', 'a{color:red}\n');
  write('list.yml', '-    1\n');
  const problems = await oxfmt();
  for (const file of ['one.ts', 'page.css', 'list.yml']) assert.match(problems, file);
});

lint('tsc: a wrong type is reported', async () => {
  copy('tsconfig.json');
  copy('package.json');
  fs.symlinkSync(path.join(home, 'node_modules'), 'node_modules');
  write('agent/one.ts', "export const one: string = 'one';\n");
  assert.is(await tsc(), '');
  write('agent/one.ts', 'export const one: string = 1;\n');
  assert.match(await tsc(), /error TS2322/);
});

lint('layers: an import of a lower layer or of the own layer is allowed, every other is reported', () => {
  write('agent/system/reader.ts', "import { a } from '../lib/errors.ts';\nimport './files.ts';\n");
  write('agent/checks/one.ts', "import type { Facts } from '../facts/facts.ts';\nimport './two.ts';\n");
  assert.is(layers(), '');
  const wrong = (file: string, text: string, imported: string) => {
    write(file, text);
    assert.is(layers(), `${file} imports ${imported}, which is not in a lower layer`);
    fs.rmSync(file);
  };
  wrong('agent/facts/facts.ts', "import type { A } from '../assess/mode.ts';\n", 'agent/assess/mode.ts');
  wrong('agent/config/config.ts', "import {\n  a,\n} from '../checks/one.ts';\n", 'agent/checks/one.ts');
  wrong('agent/lib/text.ts', "export const a = await import('../main.ts');\n", 'agent/main.ts');
  wrong('agent/prepare/home/a.ts', "import '../steps/b.ts';\n", 'agent/prepare/steps/b.ts');
});

lint('layers: a phase of the boot imports nothing of a later one, and the agent nothing of the boot', () => {
  write('boot/initramfs/one.ts', "import '../identity/two.ts';\nimport '../../agent/lib/text.ts';\n");
  assert.is(layers(), '');
  write('boot/initramfs/one.ts', "import '../root/late.ts';\n");
  write('agent/lib/text.ts', "import '../../boot/guest/one.ts';\n");
  assert.equal(layers().split('\n').toSorted(), [
    'agent/lib/text.ts imports boot/guest/one.ts, which is not of the agent',
    'boot/initramfs/one.ts imports boot/root/late.ts, which is not in a lower layer',
  ]);
  fs.rmSync('agent/lib/text.ts');
});

lint('layers: a file without a layer is reported', () => {
  write('agent/new.ts', '');
  assert.is(layers(), 'agent/new.ts: add its layer to test/lint/layers.ts');
});

lint('layers: files that import each other are reported', () => {
  write('agent/lib/a.ts', "import './b.ts';\n");
  write('agent/lib/b.ts', "import './c.ts';\n");
  write('agent/lib/c.ts', '');
  assert.is(layers(), '');
  write('agent/lib/c.ts', "import './a.ts';\n");
  assert.is(layers(), 'import circle: agent/lib/a.ts, agent/lib/b.ts, agent/lib/c.ts');
});

lint('walks through the source: a file after an arrow is imported, named or run by one before it', () => {
  write('agent/main.ts', "import './lib/one.ts';\n// one.service\n");
  write('agent/lib/one.ts', '');
  write('units/one.service', 'ExecStart=/usr/libexec/immutafs/immutafs-boot seed\n');
  write('boot/seed/commands.ts', 'export const seedCommands = {\n  seed: {\n  },\n};\n');
  const walk = (text: string) => {
    write('CONTRIBUTING.md', text);
    return walks();
  };
  assert.is(walk('`main.ts` → `lib/one.ts`, then → `one.service` →\n`boot/seed/commands.ts`\n'), '');
  const none = (name: string) => `CONTRIBUTING.md: nothing before ${name} in its walk leads to it`;
  assert.is(walk('`lib/one.ts` → `main.ts`\n'), none('main.ts'));
  assert.is(walk('`main.ts`\n\n`one.service` → `lib/one.ts`\n'), none('lib/one.ts'));
  assert.is(walk('`lib/one.ts` → `one.service`\n'), none('one.service'));
  assert.is(walk('`main.ts` → `lib/two.ts`\n'), 'CONTRIBUTING.md: lib/two.ts does not exist');
  write('units/one.service', 'ExecStart=/usr/libexec/immutafs/immutafs-boot seed-finish\n');
  assert.is(walk('`one.service` → `boot/seed/commands.ts`\n'), none('boot/seed/commands.ts'));
});

lint('paths in documents: each one exists', () => {
  write('docs/one.md', 'See `docs/one.md`, `docs/` and `/usr/bin/true`.\n');
  assert.is(documentPaths(), '');
  write('docs/one.md', 'See `docs/two.md`.\n');
  assert.is(documentPaths(), 'docs/one.md: docs/two.md does not exist');
  write('agent/lib/one.ts', '');
  write('docs/one.md', 'See `lib/one.ts`, and `lib/none.ts`.\n');
  assert.is(documentPaths(), 'docs/one.md: lib/none.ts does not exist');
  fs.rmSync('agent/lib/one.ts');
  fs.rmSync('docs/one.md');
});

lint('commands in documents: each command, option and value exists, and options may be combined', () => {
  const good =
    'Run `immutafs-agent prepare --only tmp --apply` or `prepare --undo`. The immutafs-agent is good.\n';
  write('docs/one.md', `${good}    immutafs-agent status --all # --none\n`);
  assert.is(documentCommands(), '');
  for (const [text, problem] of [
    ['`immutafs-agent status --every`', 'status has no option --every'],
    ['`prepare --only temp`', 'prepare --only has no value temp'],
    ['immutafs-agent stats --all', 'has no command stats'],
    ['immutafs-agent prepare --undo --yes', 'prepare --undo excludes --yes'],
  ] as const) {
    write('docs/one.md', `${text}\n`);
    assert.is(documentCommands(), `docs/one.md: immutafs-agent ${problem}`);
  }
  fs.rmSync('docs/one.md');
  write('agent/one.md', '# A check\n\nRun immutafs-agent prepare\n--undo --yes: now\n');
  assert.is(documentCommands(), 'agent/one.md: immutafs-agent prepare --undo excludes --yes');
  fs.rmSync('agent/one.md');
});

lint('ansible-lint and yamllint: a playbook that breaks a rule of each', async () => {
  write(
    'ansible/playbooks/a.yml',
    '- name: Play\n  hosts: all\n  tasks:\n    - ansible.builtin.meta:   noop\n',
  );
  const problems = await ansibleLint();
  assert.match(problems, /^playbooks\/a\.yml:4.*name\[missing\]/m);
  assert.match(problems, /^ +4:\d+ +error +too many spaces/m);
});

lint('pictures: one that was drawn with another form of the output is reported', () => {
  fs.mkdirSync('docs');
  copy('docs/status.svg');
  assert.is(stalePictures(), '');
  assert.match(stalePictures(`${shapeOfStatus()}one more line\n`), 'docs/status.svg is older than');
});

lint('versions: all must be equal', () => {
  write('package.json', '{"version": "1.2.3"}');
  write('package-lock.json', '{"version": "1.2.3"}');
  write('ansible/galaxy.yml', 'name: agent\nversion: 1.2.3\n');
  assert.is(versions(), '');
  write('package-lock.json', '{"version": "1.2.4"}');
  write('ansible/galaxy.yml', 'name: agent\nversion: 1.2.5\n');
  const each = ['package-lock.json has version 1.2.4', 'ansible/galaxy.yml has version 1.2.5'];
  assert.is(versions(), each.map((file) => `${file}, package.json 1.2.3`).join('\n'));
});

lint('forbidden words: paths of a developer machine', () => {
  write('good', 'workdir=/run/var/work,x $tmpfs/work/ /srv/work/a ./work/b\n');
  assert.is(forbiddenWords(), '');
  write('bad', `fine\nsee ${['', 'work', 'main'].join('/')}\n`);
  assert.match(forbiddenWords(), /^bad:2: /);
});

lint('forbidden words: a registry that is not public', () => {
  write('package-lock.json', '      "resolved": "https://registry.npmjs.org/a/-/a.tgz"\n');
  assert.is(forbiddenWords(), '');
  write('package-lock.json', '      "resolved": "http://npm.example.com/a/-/a.tgz"\n');
  assert.match(forbiddenWords(), /^package-lock\.json:1: /);
});

const service = '[Unit]\nDescription=x\n[Service]\nType=oneshot\nExecStart=/usr/bin/x\n';
lint('directives: only those that systemd 219 knows', () => {
  write('units/a.service', service);
  assert.is(bootDirectives(), '');
  for (const line of [
    'ExecStart=+/usr/bin/x',
    'ExecStart=-!/usr/bin/x',
    'SystemCallFilter=@system-service',
    'ProtectSystem=strict',
    'PrivateTmp=yes',
    'Type=exec',
    'StandardOutput=append:/x',
    'ReadWritePaths=/x',
    'StateDirectory=x',
    'DynamicUser=yes',
    'ProtectKernelModules=yes',
    'MemoryMax=1G',
    'Restart=on-failure',
    'ExecStopPost=/usr/bin/x',
    'RuntimeDirectoryPreserve=yes',
    'OnBootSec=1',
    'RestartSteps = 3',
  ]) {
    write('units/a.service', `${service}${line}\n`);
    assert.match(bootDirectives(), /^units\/a\.service/, line);
  }
  write('units/a.service', service.replace('[Service]', 'StartLimitInterval=1\n[Service]'));
  assert.is(bootDirectives(), 'units/a.service:3: StartLimitInterval=1: unknown to 219 in [Unit]');
  write('units/a.service', `${service}StartLimitInterval=1\nProtectHome=yes\n[Install]\nWantedBy=a.target\n`);
  write('units/a.timer', '[Timer]\nOnBootSec=1\n');
  assert.is(bootDirectives(), '');
  write('units/a.timer', '[Timer]\nRandomizedDelaySec=1\n');
  assert.is(bootDirectives(), 'units/a.timer:2: RandomizedDelaySec=1: unknown to 219 in [Timer]');
});

lint('options: only those that the programs of RHEL 7 know', () => {
  const good = [
    'timeout -k 2 "$left" mkfs.ext4 -q -F -m 0 -O ^has_journal -E nodiscard,lazy_itable_init=1 "$device" || exit',
    'output=$(cp -aTx "$a b" --preserve=mode "$c")',
    'refuse "cp --new failed" "$x"',
    '# mkfs.ext4 --new',
  ];
  write('units/a', `#!/bin/sh\n${good.join('\n')}\n`);
  write('units/a.service', 'ExecStart=-/usr/sbin/fstrim /x\n');
  assert.is(programOptions(), '');
  for (const [line, option] of [
    ['mkfs.ext4 -E root_perms=0700 x', '-E:root_perms'],
    ['mkfs.ext4 -O ^orphan_file x', '-O:orphan_file'],
    ['x=$(timeout -v 2 true)', '-v'],
    ['[ -z "$x" ] || dmsetup create "$name" --addnodeoncreate', '--addnodeoncreate'],
    ['udevadm settle --wait=x', '--wait'],
  ] as const) {
    write('units/a', `#!/bin/sh\n${line}\n`);
    assert.match(programOptions(), `units/a:2: ${line.includes('mkfs') ? 'mkfs.ext4' : ''}`, line);
    assert.match(programOptions(), ` ${option}: `, line);
  }
  write('units/a.service', 'ExecStart=/usr/sbin/fstrim --quiet-unsupported /x\n');
  assert.match(programOptions(), 'units/a.service:1: fstrim --quiet-unsupported: ');
});

lint('directives: a unit that runs the check does not wait for its children', () => {
  const check = service.replace('/usr/bin/x', '/usr/bin/immutafs-agent check');
  write('units/a.service', `${check}KillMode=process\n`);
  assert.is(bootDirectives(), '');
  for (const text of [check, `${check}KillMode=mixed\n`]) {
    write('units/a.service', text);
    assert.is(
      bootDirectives(),
      'units/a.service: without KillMode=process systemd waits for a child that hangs',
    );
  }
});

lint('units: programs need not exist, but directives must be known', async () => {
  write('units/a.service', service);
  assert.is(await systemdAnalyze(), '');
  write('units/a.service', `${service}NoSuchDirective=1\n`);
  assert.match(await systemdAnalyze(), 'NoSuchDirective');
});

lint('drop-ins: directives that the oldest version which reads them knows', () => {
  const folder = 'units/dropins/a.service.d';
  const problems = (name: string, line: string) => {
    write(`${folder}/${name}`, `[Service]\n${line}\n`);
    const found = bootDirectives();
    fs.rmSync(`${folder}/${name}`);
    return found.replace(`${folder}/`, '');
  };
  for (const line of ['NoNewPrivileges=no', 'ProtectSystem=strict', 'SystemCallFilter=@system-service'])
    assert.is(problems('x-since-239.conf', line), '', line);
  assert.is(problems('x-before-239.conf', 'NoNewPrivileges=no'), '');
  assert.is(problems('x-since-252.conf', 'ProtectProc=invisible'), '');
  const unknown = 'x-since-239.conf:2: ProtectProc=invisible: unknown to 239 in [Service]';
  assert.is(problems('x-since-239.conf', 'ProtectProc=invisible'), unknown);
  assert.match(problems('x-since-252.conf', 'NoSuchDirective=1'), /unknown to 252/);
  assert.match(problems('x-before-239.conf', 'ProtectKernelModules=yes'), /unknown to 219/);
  assert.match(problems('x-before-239.conf', 'ProtectSystem=strict'), /219 has yes and full/);
  assert.match(problems('x.conf', 'NoNewPrivileges=no'), /the name does not end in/);
});

lint('systemd-analyze security: a unit without its drop-ins exceeds its limit', async () => {
  const units = path.join(home, 'units');
  for (const name of ['forward', 'check', 'drift']) {
    const file = `immutafs-${name}.service`;
    write(`units/${file}`, fs.readFileSync(path.join(units, file), 'utf8'));
  }
  const onHost = 'ansible/roles/identity/files/immutafs-identity.service';
  const text = fs.readFileSync(path.join(home, onHost), 'utf8');
  write(onHost, text.replace(/^CapabilityBoundingSet=.*\n|^SystemCallFilter=.*\n/gm, ''));
  const lines = (await exposure()).split('\n').map((line) => line.replace(/[\d.]+, /, 'N, '));
  assert.equal(lines, [
    'immutafs-forward.service: exposure N, limit 2',
    'immutafs-check.service: exposure N, limit 4',
    'immutafs-drift.service: exposure N, limit 4',
    'host-immutafs-identity.service: exposure N, limit 2',
  ]);
  write(onHost, text);
  fs.cpSync(path.join(units, 'dropins'), 'units/dropins', { recursive: true });
  assert.is(await exposure(), '');
  fs.rmSync('units/immutafs-check.service');
  assert.match(await exposure(), /^immutafs-check\.service: /);
});

lint('scripts: found by the first line, or by the directive of shellcheck', () => {
  write('a', '#!/bin/sh\n');
  write('b.sh', '# shellcheck shell=sh disable=SC2034 # why\n');
  write('c', '#!/bin/bash\n');
  write('d', '#!/usr/bin/env node\n');
  assert.equal(scripts('sh'), ['a', 'b.sh']);
  assert.equal(scripts('bash'), ['c']);
});

lint('shell: a syntax error and a bashism are reported', async () => {
  write('a', '#!/bin/sh\nif true; then\n  echo a\nfi\n');
  write('b', '#!/bin/bash\n[[ -n $1 ]]\n');
  assert.equal([await dash(), await busybox(), (await shellcheck()).trim()], ['', '', '']);
  write('a', '#!/bin/sh\nif true; then\n');
  assert.match(await dash(), 'a: ');
  assert.match(await busybox(), 'a: ');
  write('a', '#!/bin/sh\n[[ -n $1 ]]\n');
  assert.match(await shellcheck(), 'SC3010');
});
lint.run();
