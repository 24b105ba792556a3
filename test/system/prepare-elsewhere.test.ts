/**
 * Tests that `prepare` does not run in a chroot, container or other mount namespace. That it runs in the guest itself,
 * the guest tests show; these tests may themselves run in a mount namespace.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Ran, inNamespace } from '../harness/namespace.ts';

const elsewhere = suite('prepare elsewhere');

/** Each is followed by "$@" and the arguments of the agent. $scratch is an empty tmpfs. */
const places: Record<string, [script: string, reason: RegExp]> = {
  'a mount namespace of its own': ['exec', /another mount namespace or another root/],
  'a chroot': [
    'mkdir /mnt/root; mount --rbind / /mnt/root; exec chroot /mnt/root',
    /another mount namespace or another root/,
  ],
  'a chroot with a /proc of its own': [
    'mkdir /mnt/root; mount --rbind / /mnt/root; mount -t proc proc /mnt/root/proc; exec chroot /mnt/root',
    /another mount namespace or another root/,
  ],
  'a chroot without /proc': [
    'mkdir /mnt/root; mount --bind / /mnt/root; mount --rbind /media /mnt/root/media; mount --rbind /dev /mnt/root/dev; exec chroot /mnt/root',
    /\/proc\/self\/mountinfo/,
  ],
  'a container with a PID namespace': [
    'exec unshare --pid --fork --mount-proc',
    /not in the initial pid namespace/,
  ],
  'a container with a user namespace': [
    'exec unshare --user --map-root-user',
    /not in the initial user namespace/,
  ],
};
function refused({ code, stdout, stderr }: Ran, reason: RegExp): void {
  assert.equal({ code, stdout }, { code: 2, stdout: '' }, stderr);
  assert.match(stderr, /^immutafs-agent: prepare cannot work in a chroot.*use --image/);
  assert.match(stderr, reason);
}

for (const [place, [script, reason]] of Object.entries(places)) {
  elsewhere(`${place}: exit code 2, and the reason`, () =>
    refused(inNamespace(`${script} "$@" prepare --only mtab`), reason),
  );
}

elsewhere('every way to call it is refused', () => {
  for (const args of [
    'prepare --apply --yes --only mtab',
    'prepare --json',
    'prepare --undo',
    'prepare --rehearse',
    'prepare --end-rehearsal',
    'check --ready-to-seal',
  ]) {
    refused(inNamespace(`exec "$@" ${args}`), /another mount namespace/);
  }
});
elsewhere.run();
