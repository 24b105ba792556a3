/**
 * Tells a program of the lower layer of an overlay from a program in the upper layer with the same path and the same
 * attributes, in a real PID namespace (search-namespace.ts).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildProgram } from '../../packaging/build/small-programs.ts';
import { found } from '../harness/search-namespace.ts';

/**
 * Mounts an overlay on /mnt/layered. Its lower layer, an ext4 on a loop device, has a program at "sleep". Its upper layer
 * has another program at $1, whose size, mode and times are the same, as after the clock was set for it.
 */
const layered = (at: string) => `
mkdir /mnt/lower /mnt/layered /mnt/upper/forged /mnt/upper/forged-work
mkdir -p $(dirname /mnt/upper/forged/${at})
sed 's/GNU coreutils/GNU coreUtils/' /usr/bin/sleep >/mnt/forged
! cmp -s /mnt/forged /usr/bin/sleep
chmod 755 /mnt/forged; touch -d @1700000000 /mnt/forged; cp -p /mnt/forged /mnt/upper/forged/${at}
truncate -s 16M /mnt/memory/image
mke2fs -q -t ext4 -I 256 /mnt/memory/image
changed=$(stat -c %.9Z /mnt/upper/forged/${at})
nanoseconds=$(echo "\${changed#*.}" | sed 's/^0*//')
debugfs -w -f - /mnt/memory/image >/dev/null 2>&1 <<DEBUGFS
write /usr/bin/sleep sleep
sif sleep mode 0100755
sif sleep mtime @1700000000
sif sleep mtime_extra 0
sif sleep ctime @\${changed%.*}
sif sleep ctime_extra $((nanoseconds * 4))
DEBUGFS
mount -o loop,ro /mnt/memory/image /mnt/lower
[ "$(stat -c '%s %a %.9Y %.9Z' /mnt/lower/sleep)" = "$(stat -c '%s %a %.9Y %.9Z' /mnt/upper/forged/${at})" ]
mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper/forged,workdir=/mnt/upper/forged-work layered /mnt/layered
`;

const layers = suite('layers of an overlay');
layers.before(() => buildProgram('read-mappings'));

for (const [title, script, expected] of [
  [
    'a replaced program with the attributes of the sealed one',
    `${layered('sleep')} /mnt/layered/sleep 60 &`,
    [['/mnt/layered/sleep', 'executable', 'memory']],
  ],
  [
    'the same, elsewhere in the upper layer, with the path of the sealed program in a private mount namespace',
    `${layered('elsewhere/sleep')}
    unshare --mount sh -c 'mount --bind /mnt/layered/elsewhere /mnt/layered; exec /mnt/layered/sleep 60' &`,
    [['/mnt/layered/sleep', 'executable', 'memory']],
  ],
  ['the sealed program itself', `${layered('elsewhere/sleep')} /mnt/layered/sleep 60 &`, []],
] as const) {
  layers(title, () => assert.equal(found(script), expected));
}

layers.run();
