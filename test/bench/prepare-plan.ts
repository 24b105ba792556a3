import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { buildExecutable } from '../../packaging/build/executable.ts';
import { inRoot, root, scratch } from '../../packaging/build/paths.ts';
import type { Step } from '../../agent/prepare/engine/step.ts';
import { inSmallSystem } from '../harness/small-system.ts';
import { agentTree } from '../vm/harness/agent.ts';
import { bootFilesIn } from '../vm/harness/kernel.ts';
import { buildPrograms } from './programs.ts';
import type { Result } from './run.ts';
import { figure } from './table.ts';

const runs = 7;
const [packages, filesOfPackage, processes] = [450, 110, 100];

/**
 * Compares a plan of all steps with `status`, alternately in the same small system, which is as large as a guest with few
 * services. Of each, the run with the least processor time counts, because other load on the machine only adds to it.
 */
export async function preparePlan(): Promise<Result> {
  await buildPrograms();
  const tree = await agentTree();
  const { initramfs } = await bootFilesIn(join(tree, 'root/boot'), join(tree, 'vmlinux'));
  await writeFile(join(scratch, 'bench/initramfs.img'), gzipSync(await readFile(initramfs)));
  const program = join(scratch, 'bench/bench-in-box');
  await buildExecutable({ entry: inRoot('test/harness/main-in-box.ts'), out: program, warmUp: ['status'] });
  const inBox = (file: string) => join('/media', relative(root, file));
  const { code, stdout, stderr } = inSmallSystem(
    `program=${inBox(program)}\ntree=${inBox(join(tree, 'root'))}\n${script}`,
    400,
    1_800_000,
  );
  if (code !== 0) throw new Error(`${code}: ${stdout}${stderr}`);
  const lines = stdout.split('\n');
  expectWholePlan(lines.find((line) => line.startsWith('{')) ?? '{}');
  const least = (title: string) => {
    const times = lines.flatMap((line) => {
      const [name, user, system] = line.split(' ');
      return name === title ? [Number(user) + Number(system)] : [];
    });
    if (times.length !== runs) throw new Error(`not ${runs} runs of ${title}: ${stdout}${stderr}`);
    return Math.min(...times);
  };
  const started = (title: string) =>
    Number(lines.find((line) => line.startsWith(`started-${title} `))?.split(' ')[1]);
  return {
    about: `minima of ${runs} interleaved runs, with all child processes; ${packages} packages with ${packages * filesOfPackage} files, 40,000 files on the disk, 5,000 in /var, ${processes} processes, one initramfs (gzip)`,
    control: 'status',
    figures: [
      figure('processor time of a plan', 's', least('plan'), least('status'), { of: 'ratio', atMost: 12 }),
      figure('programs started', '', started('plan'), started('status')),
    ],
  };
}

/** Otherwise, the benchmark would measure less than it claims. @throws Error if a step found less than there is */
function expectWholePlan(json: string): void {
  const { steps = [] } = JSON.parse(json) as { steps?: Step[] };
  const states = Object.fromEntries(steps.map(({ id, state }) => [id, state]));
  const found = steps.flatMap(({ stateFindings = [] }) => stateFindings.map(({ name }) => name));
  const isWhole =
    steps.length === 12 &&
    states['initramfs'] === 'done' &&
    states['writes'] === 'done' &&
    found.includes('/var/lib/app1') &&
    !found.includes('/var/lib/packaged');
  if (!isWhole) throw new Error(`not the expected plan: ${JSON.stringify({ states, found })}`);
}

/** Makes the system in a few lines, and prints "NAME USER SYSTEM" for each run, in seconds. */
const script = `
  mkdir -p boot opt var/lib/rpm var/lib/packaged var/log var/cache var/tmp
  cp /media/build/bench/initramfs.img boot/initramfs-6.1.0-bench.img; : >boot/vmlinuz-6.1.0-bench
  over() { # FROM TO: adds files to a directory of this machine
    mount -t overlay -o "lowerdir=$1:$2" over "$2"
  }
  mkdir -p /run/lib64/immutafs-agent /run/libexec/immutafs /run/lib/dracut/modules.d
  cp /media/dist/lib/* /run/lib64/immutafs-agent/
  cp "$tree"/usr/libexec/immutafs/* /run/libexec/immutafs/
  cp -R "$tree/usr/lib/dracut/modules.d/95immutafs" /run/lib/dracut/modules.d/
  over /run/lib64 /usr/lib64; over /run/libexec /usr/libexec; over /run/lib /usr/lib
  cp "$program" /run/agent
  {
    printf 'Name: guest\\nVersion: 1\\nRelease: 1\\nSummary: x\\nLicense: x\\nBuildArch: noarch\\n%%description\\n%%install\\n'
    for package in $(seq ${packages}); do
      printf '%%package p%s\\nSummary: x\\n%%description p%s\\n%%files p%s\\n' "$package" "$package" "$package"
      if [ "$package" = 1 ]; then echo '%ghost %attr(0644,root,root) /var/lib/packaged/table'; fi
      seq -f "%%ghost %%attr(0644,root,root) /usr/share/package-$package/some/directory/file-%04g.dat" ${filesOfPackage}
    done
  } >/run/spec
  HOME=/run rpmbuild -bb --define '_topdir /run/rpm' --define '_rpmdir /run' --define '_binary_payload w0.ufdio' /run/spec >/run/build 2>&1 || { cat /run/build; exit 1; }
  echo x >var/lib/packaged/table; touch -d '2001-02-03' var/lib/packaged/table
  rpm --upgrade --justdb --nodeps --nosignature /run/noarch/*.rpm
  rm -r /run/noarch /run/rpm
  fill() { mkdir -p "$1"; (cd "$1"; seq -f 'file-number-%06g.dat' 200 | xargs touch); }
  for folder in $(seq 200); do fill "/opt/programs/$folder"; done
  for folder in $(seq 25); do fill "/var/lib/app$folder"; done
  sync; sleep 2
  for process in $(seq ${processes}); do sleep 3600 & done
  # The folder of this project is no part of a guest, and as large as the programs in it.
  umount -l /media
  cat >/run/measure <<'MEASURE'
  TIMEFORMAT='%3U %3S'
  measure() { # NAME COMMAND...
    name=$1; shift
    echo "$name $({ time "$@" >/dev/null 2>&1; } 2>&1)"
  }
  started() { # NAME COMMAND...
    name=$1; shift
    strace -f -o /run/trace -e trace=execve "$@" >/dev/null 2>&1
    echo "started-$name $(grep -c ' = 0$' /run/trace)"
  }
  /run/agent prepare --json 2>/dev/null | tr -s '\\n ' '  '; echo
  started status /run/agent status
  started plan /run/agent prepare
  for run in $(seq ${runs}); do
    measure status /run/agent status
    measure plan /run/agent prepare
  done
MEASURE
  # Nothing was changed since the boot.
  unshare --time --boottime=-"$(cut -d. -f1 /proc/uptime)" --fork bash /run/measure`;
