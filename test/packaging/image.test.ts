/** The package in an image that dnf builds with --installroot, and `prepare --image` of the installed program in a chroot. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Plan } from '../../agent/prepare/engine/plan.ts';
import { buildRpm } from '../../packaging/rpm.ts';
import { DnfRoot } from './release/dnf-root.ts';
import { type Outcome, run } from './support.ts';

const images = suite<{ dnf: DnfRoot }>('the package in an image');
const rpm = await buildRpm();

images.before.each((context) => {
  context.dnf = new DnfRoot();
});
images.after.each(({ dnf }) => dnf.remove());

/** Runs the installed agent in the chroot, with the /proc and /dev of this machine, as the %post section of kickstart has them. */
function agent({ root }: DnfRoot, ...args: string[]): Outcome {
  root.makeDirectory('proc');
  const script = `mount -t proc proc "$1/proc"; mount --bind /dev "$1/dev"; root=$1; shift; exec chroot "$root" "$@"`;
  const command = ['/usr/bin/immutafs-agent', ...args];
  return run('unshare', ['--mount', 'sh', '-ec', script, 'sh', root.folder, ...command]);
}

/** The steps that need no search, for which the root has no programs. */
const steps = ['home', 'tmp', 'mtab', 'fstab', 'etc', 'initramfs', 'boot', 'image'];

images(
  'dnf --installroot: the package installs, and the image is prepared without this machine',
  ({ dnf }) => {
    const { root } = dnf;
    const installed = dnf.dnf('install', '--nogpgcheck', rpm);
    assert.is(installed.code, 0, installed.stderr);
    assert.not.match(installed.stderr, /scriptlet|failed/i);
    root.write('boot/vmlinuz-6.1.0', 'kernel');
    root.write('etc/fstab', 'UUID=a / xfs defaults 0 0\n');
    root.write('etc/machine-id', '0123456789abcdef0123456789abcdef\n');
    root.stub('dracut', '', 'usr/bin');
    const { code, stdout, stderr } = agent(dnf, 'prepare', '--image', '--json', '--only', ...steps);
    assert.equal({ code, stderr }, { code: 1, stderr: '' }, stdout);
    const plan = JSON.parse(stdout) as Plan;
    const found = (id: string) => plan.steps.find((step) => step.id === id);
    const runs = found('initramfs')?.actions.flatMap((action) => (action.do === 'run' ? [action.args] : []));
    assert.equal(runs, [['--no-hostonly', '--force', '/boot/.initramfs-6.1.0.img.immutafs', '6.1.0']]);
    assert.is(found('fstab')?.state, 'needed');
    assert.is(found('image')?.state, 'needed');
    assert.is(agent(dnf, 'prepare', '--image', '--rehearse').code, 2);
  },
);

// test/system/prepare-elsewhere.test.ts has the twin: without --image, it refuses to run in a chroot.

images.run();
