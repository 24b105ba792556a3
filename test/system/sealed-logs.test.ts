/** What the forwarder knows of the log files of a sealed guest without the clock, on real overlays. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import path from 'node:path';
import { inNamespace } from '../harness/namespace.ts';
import { inPlace, repository } from '../harness/repository.ts';

const logs = suite('log files on the overlay of a sealed guest');

const program = inPlace(path.join(repository, 'test/harness/sealed-logs.ts'));

/** Mounts an overlay on /var, with logs of the sealed disk below /var/log. */
const sealed = `
mount -t tmpfs -o mode=0755 run /run
mkdir -p /run/immutafs/lower/log/data /run/var/upper /run/var/work
cd /run/immutafs/lower/log
printf 'sealed\\n' >app.log; printf 'older\\n' >app.log.1; printf 'oldest\\n' >app.log.2
printf 'data\\n' >data/data.log
touch -d @1600000000.123456789 app.log; touch -d @1500000000 app.log.1 app.log.2
mount -t overlay -o lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work var /var
printf '%s\\n' VERSION=1 STAGE=initramfs UPTIME=1 MODE=sealed REASON=x DISKS=x VAR=overlay ASSEMBLED=initramfs >/run/immutafs/boot.env
cd /var/log
`;

for (const [title, change, files, expected] of [
  [
    'nothing is written: every file is that of the sealed disk',
    '',
    'app.log',
    { 'app.log': [false, 7], 'app.log.1': [false, 0], 'app.log.2': [false, 0] },
  ],
  [
    'the log is written to',
    'echo new >>app.log',
    'app.log',
    { 'app.log': [true, 7], 'app.log.1': [false, 0], 'app.log.2': [false, 0] },
  ],
  [
    'the log is rotated: only the new file and the one that was written to are of this boot, whatever their mtimes are',
    'mv app.log.2 app.log.3; mv app.log.1 app.log.2; echo new >>app.log; touch -d @1400000000 app.log; mv app.log app.log.1; echo newest >app.log',
    'app.log',
    { 'app.log': [true, 0], 'app.log.1': [true, 7], 'app.log.2': [false, 0], 'app.log.3': [false, 0] },
  ],
  [
    'a file with the size and the mtime of one on the sealed disk, and another content',
    'echo alder >app.log.1; touch -d @1500000000 app.log.1',
    'app.log',
    { 'app.log': [false, 7], 'app.log.1': [true, 0], 'app.log.2': [false, 0] },
  ],
  [
    'a data disk below the overlay: only the clock can tell',
    'mkdir /mnt/disk /mnt/empty; printf "data\\n" >/mnt/disk/data.log; mount -t overlay -o lowerdir=/mnt/disk:/mnt/empty disk data',
    'data/data.log',
    { 'data.log': [null, 5] },
  ],
  [
    'a log on a tmpfs',
    'mount -t tmpfs none data; echo new >data/data.log',
    'data/data.log',
    { 'data.log': [true, 0] },
  ],
  [
    'a directory that is a link to a log in memory',
    'rm -r data; mkdir /run/log; ln -s /run/log data; echo new >data/data.log',
    'data/data.log',
    { 'data.log': [true, 0] },
  ],
  [
    'no overlay is recorded, as in maintenance',
    'sed -i s/VAR=overlay/VAR=disk/ /run/immutafs/boot.env',
    'data/data.log',
    { 'data.log': [null, 0] },
  ],
] as const)
  logs(title, () => {
    const { stdout, stderr } = inNamespace(`${sealed}${change}\n"$1" "$2" ${program} /var/log/${files}`);
    assert.is(stderr, '');
    assert.equal(JSON.parse(stdout), expected);
  });

logs.run();
