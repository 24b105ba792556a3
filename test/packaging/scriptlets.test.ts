import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildRpm } from '../../packaging/rpm.ts';
import { ScratchRoot } from './scratch-root.ts';
import { run, type Outcome } from './support.ts';

/** The package installed, upgraded and erased: the scriptlets run in earnest, in the order that rpm gives them. */
const test = suite<{ root: ScratchRoot }>('scriptlets');
let rpm = '';

test.before(async () => {
  rpm = await buildRpm();
});

test.before.each((context) => {
  context.root = new ScratchRoot();
});

test.after.each(({ root }) => {
  root.remove('');
});

const units = 'immutafs-check.service immutafs-check.timer immutafs-forward.service immutafs-var.service';
const regenerate = 'dracut -f --regenerate-all';

test('install: units as the preset says, and a new initramfs', ({ root }) => {
  quiet(install(root));
  assert.equal(root.asked(), [`systemctl --no-reload preset ${units}`, regenerate]);
});

test('upgrade: presets are left alone, one new initramfs', ({ root }) => {
  install(root);
  root.asked();
  quiet(upgrade(root));
  assert.equal(root.asked(), [regenerate]);
});

test('erase: units off, and an initramfs without the hook', ({ root }) => {
  install(root);
  root.asked();
  root.stub('dracut', '[ ! -e /usr/lib/dracut/modules.d/95immutafs ] || exit 1');
  quiet(erase(root));
  assert.equal(root.asked(), [`systemctl --no-reload disable ${units}`, regenerate]);
  assert.not.ok(root.has('usr/bin/immutafs-agent'));
});

test('where systemd runs: it also learns of the change, and the daemon is not left on the old program', ({
  root,
}) => {
  root.makeFolder('run/systemd/system');
  quiet(install(root));
  assert.equal(root.asked(), [
    `systemctl --no-reload preset ${units}`,
    'systemctl daemon-reload',
    regenerate,
  ]);
  quiet(upgrade(root));
  const restart = 'systemctl --no-block try-restart immutafs-forward.service';
  const reload = 'systemctl daemon-reload';
  assert.equal(root.asked(), [reload, reload, restart, regenerate]);
  quiet(erase(root));
  const stop = 'systemctl stop immutafs-check.timer immutafs-forward.service';
  assert.equal(root.asked(), [`systemctl --no-reload disable ${units}`, stop, reload, regenerate]);
});

test('dracut fails: said loudly, with what to do, and the package is installed', ({ root }) => {
  root.stub('dracut', 'echo "no space left on /boot" >&2; exit 7');
  const { code, stderr } = install(root);
  assert.is(code, 0);
  assert.match(
    stderr,
    'dracut failed (exit code 7), the initramfs is the old one. It said:\nno space left on /boot\n',
  );
  assert.match(stderr, 'do not seal this guest');
  assert.match(stderr, 'then run: dracut -f --regenerate-all\n');
  const erased = erase(root);
  assert.is(erased.code, 0);
  assert.match(erased.stderr, 'The initramfs still has the hook of immutafs-agent, which is gone.');
});

test('systemctl fails: said, and the package is installed', ({ root }) => {
  root.stub('systemctl', 'echo "no such thing" >&2; exit 1');
  const { code, stderr } = install(root);
  assert.is(code, 0);
  assert.is(
    stderr,
    `immutafs-agent: systemctl --no-reload preset ${units} failed, ignoring: no such thing\n`,
  );
});

test('without systemctl, dracut or kernels there is nothing to do and nothing to say', ({ root }) => {
  root.remove('bin/systemctl');
  root.remove('bin/dracut');
  quiet(install(root));
  quiet(erase(root));
  root.stub('dracut');
  root.remove('lib/modules');
  quiet(install(root));
  assert.equal(root.asked(), []);
});

for (const shell of ['bash', 'dash']) {
  test(`a sealed guest is refused at install and at erase, not at upgrade's %preun (${shell})`, () => {
    assert.match(
      scriptlet(shell, 'PREIN', '1', { sealed: true }).stderr,
      /^immutafs-agent: this guest is sealed: .*\n$/,
    );
    assert.is(scriptlet(shell, 'PREIN', '1', { sealed: true }).code, 1);
    assert.is(scriptlet(shell, 'PREUN', '0', { sealed: true }).code, 1);
    quiet(scriptlet(shell, 'PREUN', '1', { sealed: true }));
    quiet(scriptlet(shell, 'PREIN', '1', { sealed: false }));
  });
}

/** One scriptlet on this machine, by a shell that RHEL or Debian has as sh: busybox sees no read-only there. */
function scriptlet(shell: string, tag: string, argument: string, { sealed }: { sealed: boolean }): Outcome {
  const text = run('rpm', ['-qp', '--qf', `%{${tag}}`, rpm]).stdout;
  const seal = sealed ? 'mount --bind /usr /usr && mount -o remount,bind,ro /usr &&' : '';
  const script = `${seal} exec "$0" -c "$1" scriptlet "$2"`;
  return run('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, shell, text, argument]);
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

function quiet(outcome: Outcome): void {
  assert.equal(outcome, { code: 0, stdout: '', stderr: '' });
}

test.run();
