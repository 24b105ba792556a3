/**
 * Tests that the power can be cut, and that any operation can fail, at each point of a boot that moves /home or moves it back:
 * a boot then finds all of it, and the next boot that moves completes the task or returns.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf } from '../harness/home-step.ts';
import { homePoints as points } from '../harness/move-points.ts';

const write = (text: string) =>
  `echo ${text} >>/home/alice/log; set_old_times /home; sync -f /home; picture /home >/run/before`;

/** Runs lines of sh for each point, one after the other in one system. */
function atEach(list: readonly string[], begin: string, lines: (point: string) => string): void {
  const script = list.map((point) => `${lines(point)}; echo "passed ${point}"`).join('\n');
  const stdout = outputOf(
    `quiet() { "$@" >/run/said 2>&1 || [ -e "$marker" ] || { cat /run/said; exit 1; }; }
    again() { home --apply --yes --home-uuid "$uuid" || [ -e "$marker" ]; }
    empty() { mount "$device" /srv; find /srv -mindepth 1 -delete; umount /srv; }\n${begin}; uuid=$(blkid -p -s UUID -o value "$device")\n${script}`,
    400,
    540_000,
  );
  assert.equal([...(stdout.match(/(?<=^passed ).*$/gm) ?? [])], list, stdout);
}

/** The new file system is on $disk; the old /home is a directory, or a volume. */
const kinds: Record<string, string> = {
  'a directory, XFS': 'device=$disk; mkfs.xfs -q "$disk"; name_disks; fill; sync; picture /home >/run/before',
  'a volume, ext4': `device=$disk; mkfs.xfs -q "$disk"; mkfs.ext4 -q -F "$volume"; mount "$volume" /home; echo "$volume /home ext4 defaults 0 0" >>/etc/fstab
    name_disks; fill; sync; picture /home >/run/before`,
};

const cuts = suite('moves of /home: power cuts and failures');
for (const [title, begin] of Object.entries(kinds)) {
  const isVolume = title.includes('volume');
  const moves = points.move.filter((point) => !isVolume || !['swap', 'aside'].includes(point));
  const returns = points.return.filter((point) => !isVolume || !['beside', 'swapped'].includes(point));
  cuts(`move and move back, ${title}: power cuts`, () => {
    atEach(
      moves,
      begin,
      (
        point,
      ) => `quiet again; boot ${point} KILL; whole_home; ${write('cut')}; boot; whole_home; findmnt -n -o SOURCE /home | grep "$device"; ${write('after')}
        quiet agent prepare --undo; boot; whole_home; findmnt -n -o SOURCE /home | grep "$device" && exit 1; empty`,
    );
    atEach(
      returns,
      begin,
      (
        point,
      ) => `quiet again; boot; ${write('before')}; quiet agent prepare --undo; boot ${point} KILL; whole_home; ${write('cut')}; boot; whole_home
        findmnt -n -o SOURCE /home | grep "$device" && exit 1; ls -A / | grep immutafs- && exit 1; empty`,
    );
  });
}
cuts('a failure at each point of a move: the old /home is in use, and the next attempt succeeds', () =>
  atEach(
    points.move.slice(1, -1),
    kinds['a directory, XFS'] ?? '',
    (
      point,
    ) => `quiet again; cp /etc/fstab /run/fstab; boot ${point} EIO; grep 'was not moved: injected: EIO' /run/said; whole_home; cmp /etc/fstab /run/fstab; test ! -e "$marker"
      ls -A / | grep immutafs- && exit 1; old_home test ! -e moved-by-immutafs-agent; quiet again; boot; whole_home; findmnt -n -o SOURCE /home | grep "$device"
      quiet agent prepare --undo; boot; whole_home; empty`,
  ),
);
cuts('a disk that breaks while it is written leaves /home and fstab as they are', () => {
  // The image of the disk is on a file system that is smaller than the disk.
  const script = `head -c 150000000 /dev/urandom >/home/much; picture /home >/run/before; cp /etc/fstab /run/fstab
    mount -t tmpfs -o size=120m x /srv; truncate -s 400m /srv/image; broken=$(losetup -f --show -P /srv/image); exec 7<"$broken"; losetup -d "$broken"
    home --apply --yes --home-device "$broken" || true; disk=$broken; name_disks; boot; cat /run/said; findmnt /home && exit 1; whole_home; cmp /etc/fstab /run/fstab`;
  assert.match(
    outputOf(script),
    /\/home was not moved: .*(Input\/output error|No space left|is not the same|Structure needs cleaning)/,
  );
});
cuts.run();
