import { symlinkSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { type Move, writeMoves } from '../../agent/prepare/move/record.ts';
import { buildRpm } from '../../packaging/rpm.ts';
import { rootSuite, type ScratchRoot } from './scratch-root.ts';
import { assertQuiet, run, type Outcome } from './support.ts';

/** Installs, upgrades and erases the package, so that rpm runs the scriptlets in the real order. */
const test = rootSuite('scriptlets');
const rpm = await buildRpm();
const units = 'immutafs-check.service immutafs-check.timer immutafs-forward.service immutafs-var.service';
const regenerate = 'dracut -f /boot/.initramfs-6.1.0.img.immutafs 6.1.0';

test('install: units are enabled by the preset, and the initramfs is rebuilt', ({ root }) => {
  assertQuiet(install(root));
  assert.equal(root.calls(), [`systemctl --no-reload preset ${units}`, regenerate]);
  assert.is(root.read('boot/initramfs-6.1.0.img'), 'new\n');
  assert.equal(root.list('boot'), ['initramfs-6.1.0.img']);
});

test('upgrade: no presets, and the initramfs is rebuilt once', ({ root }) => {
  install(root);
  root.calls();
  assertQuiet(upgrade(root));
  assert.equal(root.calls(), [regenerate]);
});

test('erase: units are disabled, and the initramfs is rebuilt without the hook', ({ root }) => {
  install(root);
  root.calls();
  root.stub('dracut', '[ ! -e /usr/lib/dracut/modules.d/95immutafs ] || exit 1; echo without >"$2"');
  assertQuiet(erase(root));
  assert.equal(root.calls(), [`systemctl --no-reload disable ${units}`, regenerate]);
  assert.is(root.read('boot/initramfs-6.1.0.img'), 'without\n');
  assert.not.ok(root.has('usr/bin/immutafs-agent'));
});

test('the list of accepted changes is kept in an upgrade and erased with the package', ({ root }) => {
  install(root);
  assert.not.ok(root.has('etc/immutafs/accepted-writes'), 'the package does not create it');
  root.write('etc/immutafs/accepted-writes', '/opt/agent\n');
  root.write('etc/immutafs/own', 'x\n');
  assertQuiet(upgrade(root));
  assert.is(root.read('etc/immutafs/accepted-writes'), '/opt/agent\n');
  erase(root);
  assert.not.ok(root.has('etc/immutafs/accepted-writes'));
  assert.is(root.read('etc/immutafs/own'), 'x\n', 'other files of an administrator stay');
});

test('erase: the original files that prepare replaced stay, and are named', ({ root }) => {
  install(root);
  root.makeDirectory('var/lib/immutafs/backup');
  assertQuiet(erase(root));
  install(root);
  root.write('var/lib/immutafs/backup/etc-fstab.1', 'x\n');
  assertQuiet(upgrade(root));
  const { code, stderr } = erase(root);
  assert.is(code, 0);
  assert.match(stderr, /^immutafs-agent: \/var\/lib\/immutafs\/backup is not removed: [^\n]*\n$/);
  assert.is(root.read('var/lib/immutafs/backup/etc-fstab.1'), 'x\n');
});

test('erase: fails while fstab mounts / read-only, because / would stay read-only', ({ root }) => {
  root.write('etc/fstab', '# / xfs\nUUID=2 /boot xfs defaults 0 0\nUUID=1 / xfs noatime,ro');
  assertQuiet(install(root));
  assertQuiet(upgrade(root));
  root.calls();
  const { code, stderr } = erase(root);
  assert.is(code, 1);
  assert.match(stderr, /^immutafs-agent: not erased\. .* prepare --undo or an editor\. .*\n/);
  assert.equal(root.calls(), []);
  assert.ok(root.has('usr/bin/immutafs-agent'));
  root.write(
    'etc/fstab',
    '#UUID=0 / xfs ro\nUUID=1 / xfs errors=remount-ro 0 0\nserver:/ /mnt nfs ro 0 0\nUUID=2 /boot xfs ro',
  );
  assertQuiet(erase(root));
});

const moves: readonly [kind: Move['kind'], phase: Move['phase'], refusal?: RegExp][] = [
  ['state', 'planned'],
  ['state', 'copying'],
  ['state', 'switching', /is on the data disk/],
  ['state', 'moved', /is on the data disk/],
  ['state', 'returning', /is on the data disk/],
  ['state', 'restoring', /is on the data disk/],
  ['home', 'planned'],
  ['home', 'copying'],
  ['home', 'switching', /is not complete/],
  ['home', 'moved'],
  ['home', 'returning', /is not complete/],
  ['home', 'restoring', /is not complete/],
];
test('erase: fails while data is on another disk that only this package mounts, or a move is not complete', ({
  root,
}) => {
  for (const [kind, phase, refusal] of moves) {
    const title = `${kind} ${phase}`;
    install(root);
    assertQuiet(upgrade(root));
    root.write('var/lib/immutafs/moves.json', recordOf({ kind: 'home', phase: 'moved' }, { kind, phase }));
    root.write('etc/immutafs/move-at-boot', '0\n');
    root.calls();
    const { code, stderr } = erase(root);
    assert.is(code, refusal === undefined ? 0 : 1, title);
    assert.is(root.has('etc/immutafs/move-at-boot'), refusal !== undefined, title);
    assert.is(root.has('usr/bin/immutafs-agent'), refusal !== undefined, title);
    if (refusal === undefined) continue;
    assert.match(
      stderr,
      /^immutafs-agent: not erased\. [^\n]* \/var\/lib\/app [^\n]* prepare --undo --reboot\. [^\n]*\n/,
    );
    assert.match(stderr, refusal, title);
    assert.equal(root.calls(), [], title);
  }
});

test('yum 3: its plug-in gets a configuration file, which an administrator may edit and which erasing removes', ({
  root,
}) => {
  const file = 'etc/yum/pluginconf.d/immutafs.conf';
  assertQuiet(install(root));
  assert.ok(root.has('usr/lib/yum-plugins/immutafs.py'));
  assert.not.ok(root.has('etc/yum'), 'no folder where the package yum of RHEL 8 has a symbolic link');
  root.makeDirectory('etc/yum/pluginconf.d');
  assertQuiet(upgrade(root));
  assert.is(root.read(file), '[main]\nenabled=1\n');
  root.write(file, '[main]\nenabled=0\n');
  assertQuiet(upgrade(root));
  assert.is(root.read(file), '[main]\nenabled=0\n');
  assertQuiet(erase(root));
  assert.not.ok(root.has(file));
});

test('no file is made if the plug-in directory of yum is a link to that of dnf', ({ root }) => {
  root.makeDirectory('etc/yum');
  root.makeDirectory('etc/dnf/plugins');
  symlinkSync('../dnf/plugins', root.path('etc/yum/pluginconf.d'));
  assertQuiet(install(root));
  assert.equal(root.list('etc/dnf/plugins'), []);
  assertQuiet(erase(root));
  assert.equal(root.list('etc/yum'), ['pluginconf.d']);
});

test('a running systemd is reloaded, and the forwarder restarts with the new program', ({ root }) => {
  root.makeDirectory('run/systemd/system');
  assertQuiet(install(root));
  assert.equal(root.calls(), [
    `systemctl --no-reload preset ${units}`,
    'systemctl daemon-reload',
    regenerate,
  ]);
  assertQuiet(upgrade(root));
  const restart = 'systemctl --no-block try-restart immutafs-forward.service';
  const reload = 'systemctl daemon-reload';
  assert.equal(root.calls(), [reload, reload, restart, regenerate]);
  assertQuiet(erase(root));
  const stop =
    'systemctl stop immutafs-check.timer immutafs-forward.service immutafs-identity.timer immutafs-identity.path';
  assert.equal(root.calls(), [`systemctl --no-reload disable ${units}`, stop, reload, regenerate]);
});

test('dracut fails: the old initramfs stays, a message says what to do, and the package is installed', ({
  root,
}) => {
  root.stub('dracut', 'echo half >"$2"; echo "no space left on /boot" >&2; exit 7');
  const { code, stderr } = install(root);
  assert.is(code, 0);
  assert.match(
    stderr,
    'dracut failed (exit code 7), 6.1.0 has its old initramfs. Output:\nno space left on /boot\n',
  );
  assert.is(root.read('boot/initramfs-6.1.0.img'), 'old\n');
  assert.equal(root.list('boot'), ['initramfs-6.1.0.img']);
  assert.match(stderr, 'do not seal this guest');
  assert.match(stderr, 'then run: dracut -f --regenerate-all\n');
  const erased = erase(root);
  assert.is(erased.code, 0);
  assert.match(erased.stderr, 'The initramfs still has the hook of immutafs-agent, which is erased.');
});

test('a separate /boot is frozen afterwards to write out its journal, or synced if it fails', ({ root }) => {
  const writeOuts = () => root.calls().filter((line) => /^(fsfreeze|sync$)/.test(line));
  root.stub('fsfreeze', '', 'usr/sbin');
  root.stub('sync', '', 'usr/bin');
  assertQuiet(install(root));
  assert.equal(writeOuts(), [], 'a root is never frozen');
  root.stub('mountpoint', '', 'usr/bin');
  assertQuiet(upgrade(root));
  assert.equal(writeOuts(), ['fsfreeze -f /boot', 'fsfreeze -u /boot']);
  root.stub('fsfreeze', 'exit 1', 'usr/sbin');
  assertQuiet(erase(root));
  assert.equal(writeOuts(), ['fsfreeze -f /boot', 'sync']);
});

test('several kernels: a failure for one does not affect the others, and dracut chooses the path of a first initramfs', ({
  root,
}) => {
  for (const kernel of ['6.1.1', '6.1.2', '6.1.3']) {
    root.makeDirectory(`lib/modules/${kernel}`);
    root.write(`lib/modules/${kernel}/modules.dep`, '');
  }
  root.makeDirectory('lib/modules/6.1.4');
  root.write('boot/initrd.img-6.1.1', 'old\n');
  root.write('boot/0123/6.1.2/initrd', 'old\n');
  root.write('boot/initramfs-0-rescue-0123.img', 'old\n');
  root.stub('dracut', '[ "$3" != 6.1.0 ] || exit 1; [ "$2" = --kver ] || echo new >"$2"');
  const { stderr } = install(root);
  assert.match(stderr, 'dracut failed (exit code 1), 6.1.0 has its old initramfs.');
  assert.is(stderr.split('\n').length, 4, stderr);
  assert.equal(root.calls().slice(1), [
    regenerate,
    'dracut -f /boot/.initrd.img-6.1.1.immutafs 6.1.1',
    'dracut -f /boot/0123/6.1.2/.initrd.immutafs 6.1.2',
    'dracut -f --kver 6.1.3',
  ]);
  assert.is(root.read('boot/initramfs-6.1.0.img'), 'old\n');
  assert.is(root.read('boot/initrd.img-6.1.1'), 'new\n');
  assert.is(root.read('boot/0123/6.1.2/initrd'), 'new\n');
  assert.is(root.read('boot/initramfs-0-rescue-0123.img'), 'old\n');
});

test('systemctl fails: a message, and the package is installed', ({ root }) => {
  root.stub('systemctl', '[ "$1" = --version ] || { echo "no such thing" >&2; exit 1; }');
  const { code, stderr } = install(root);
  assert.is(code, 0);
  assert.match(
    stderr,
    'immutafs-agent: /usr/libexec/immutafs/immutafs-boot select-dropins failed, ignoring: select-dropins: ',
  );
  assert.is(
    stderr.replace(/^.*select-dropins.*\n/gm, ''),
    `immutafs-agent: systemctl --no-reload preset ${units} failed, ignoring: no such thing\n`,
  );
});

test('without systemctl, dracut or kernels: no command and no message', ({ root }) => {
  root.remove('bin/systemctl');
  root.remove('bin/dracut');
  assertQuiet(install(root));
  assertQuiet(erase(root));
  root.stub('dracut');
  root.remove('lib/modules');
  assertQuiet(install(root));
  assert.equal(root.calls(), []);
});

for (const shell of ['bash', 'dash']) {
  test(`on a sealed guest install and erase fail, but not the %preun of an upgrade (${shell})`, () => {
    assert.match(
      scriptlet(shell, 'PREIN', '1', { sealed: true }).stderr,
      /^immutafs-agent: this guest is sealed: .*\n$/,
    );
    assert.is(scriptlet(shell, 'PREIN', '1', { sealed: true }).code, 1);
    assert.is(scriptlet(shell, 'PREUN', '0', { sealed: true }).code, 1);
    assertQuiet(scriptlet(shell, 'PREUN', '1', { sealed: true }));
    assertQuiet(scriptlet(shell, 'PREIN', '1', { sealed: false }));
  });
}

/** Runs one scriptlet on this machine, with the sh of RHEL or Debian: test -w of busybox does not detect a read-only mount. */
function scriptlet(shell: string, tag: string, argument: string, { sealed }: { sealed: boolean }): Outcome {
  const text = run('rpm', ['-qp', '--qf', `%{${tag}}`, rpm]).stdout;
  const seal = sealed ? 'mount --bind /usr /usr && mount -o remount,bind,ro /usr &&' : '';
  const script = `${seal} exec "$0" -c "$1" scriptlet "$2"`;
  return run('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, shell, text, argument]);
}

/** Returns the text of a record of moves, as prepare writes it. */
function recordOf(...states: Pick<Move, 'kind' | 'phase'>[]): string {
  const texts: string[] = [];
  const writer = {
    makeDirectory: () => undefined,
    replaceText: (_: string, text: string) => texts.push(text),
  };
  const list = states.map((state): Move => ({
    ...{ id: 'x', kind: 'state', path: '/var/lib/app', item: '/var/lib/app', store: '/data/store', type: '' },
    ...{ origin: { fs: 'x', inode: 1, uid: 0, gid: 0, volume: null }, place: { fs: 'y', inode: 2 } },
    ...{ file: '/etc/immutafs/immutafs.conf', before: '"phase": "moved",\n', after: null, content: null },
    ...{ phase: 'moved', task: 'move', at: null, problem: null, purged: false },
    ...state,
  }));
  const tools = { reader: {}, writer } as unknown as Parameters<typeof writeMoves>[0];
  writeMoves(tools, { schema: 1, moves: list, cleanVar: false, restoreFiles: false, rehearse: null });
  return texts.join('');
}

function install(root: ScratchRoot): Outcome {
  return root.rpm(['-i', '--nodeps', rpm]);
}

function upgrade(root: ScratchRoot): Outcome {
  return root.rpm(['-U', '--nodeps', '--force', rpm]);
}

function erase(root: ScratchRoot): Outcome {
  return root.rpm(['-e', 'immutafs-agent']);
}

test.run();
