import { inSmallSystem } from '../harness/small-system.ts';
import type { Figure } from './table.ts';
import { median } from './table.ts';

const files = 200_000;
const runs = 5;

/**
 * Measures the step `writes` of the built agent in a small system whose disk has 200,000 files below /opt, with a warm
 * cache: once everything was changed since the boot, and once nothing, because a time namespace places the boot after
 * the files were created. Fails if a run did not find what it must find.
 */
export function prepareWrites(): Figure[] {
  const create =
    'd="opt/big/folder-$1"; mkdir -p "$d"; cd "$d"; seq -f "file-number-%06g.dat" 500 | xargs touch';
  const { stdout, stderr, code } = inSmallSystem(
    `mkdir -p mnt opt; seq ${files / 500} | xargs -n 1 sh -c '${create}' sh; sync; sleep 2
    cat >/run/measure <<'SCRIPT'
    for run in $(seq ${runs}); do
      sh /media/packaging/build/run-dist.sh /usr/bin/time -o /run/time -f '%e %M' \\
        /media/dist/immutafs-agent prepare --json --only writes >/run/said 2>&1 || true
      echo "$1 $(grep -c '"directory": "/opt/big"' /run/said || true) $(tail -n 1 /run/time)"
    done
SCRIPT
    sh /run/measure changed
    unshare --time --boottime=-"$(cut -d. -f1 /proc/uptime)" --fork sh /run/measure unchanged`,
    400,
    900_000,
  );
  if (code !== 0) throw new Error(stdout + stderr);
  const of = (name: string, found: string) => {
    const lines = stdout.split('\n').map((line) => line.split(' '));
    const measured = lines.filter(([what, groups]) => what === name && groups === found);
    if (measured.length !== runs) throw new Error(`not ${runs} runs of ${name}: ${stdout}${stderr}`);
    return {
      seconds: median(measured.map(([, , seconds]) => Number(seconds))),
      kibibytes: median(measured.map(([, , , kibibytes]) => Number(kibibytes))),
    };
  };
  const [unchanged, changed] = [of('unchanged', '0'), of('changed', '1')];
  const aim = { of: 'value', atMost: 10 } as const;
  return [
    { name: 'writes: 200,000 files, none changed', unit: 's', value: unchanged.seconds, aim },
    { name: 'writes: peak RSS', unit: 'MiB', value: unchanged.kibibytes / 1024 },
    { name: 'writes: 200,000 files, all changed', unit: 's', value: changed.seconds, aim },
    { name: 'writes: peak RSS, all changed', unit: 'MiB', value: changed.kibibytes / 1024 },
  ];
}
