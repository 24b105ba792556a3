import { upperDirectory } from '../facts/boot/layers.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';
import type { Forecast } from '../assess/forecast.ts';
import { proposeScratch } from '../assess/scratch-proposal.ts';
import { formatAge, formatBytes, shortList } from '../lib/format.ts';
import type { ResetState } from '../facts/reset-state.ts';

/** Verifies that data written to /var is in RAM, is discarded at the next boot, and cannot use all memory. */
export const varUpperTmpfs: Check = {
  id: 'var-upper-tmpfs',
  severity: 'required',
  seal: true,
  messageId: '146ad4b087f64adcba140809895e7bba',
  documentation: {
    title: 'the upper layer of /var is a tmpfs with limits',
    means:
      'According to the mount table, /run/var is a tmpfs with a limit for bytes (size=) and for inodes (nr_inodes=). The same holds for the file system of each upper layer below /var and of OVERLAY.',
    why: 'If the upper layer is not on a tmpfs, data written to /var may survive a reboot. Without limits, a growing log can use all memory.',
    fix: 'Reboot, so that the boot creates the upper layer again. If the check still fails, find the program that mounts over /run/var.',
  },
  evaluate: ({ mounts, layers, overlays }) => {
    const below = layers
      .filter(({ target, state }) => target !== '/var' && state === 'overlay')
      .map(({ upper }) => upper);
    const others = unwrap(overlays).flatMap(({ lower, upper }) => (lower ? [upper] : []));
    const found = [upperDirectory, ...below, ...others].map((directory) => {
      const mount = mounts.serving(directory);
      if (mount === undefined) throw new Error(`no mount serves ${directory}`);
      return mount;
    });
    const expected = 'a tmpfs with limits for bytes and inodes';
    const wrong = [...new Set(found)].flatMap(problems);
    const subject = [...new Set(found.map(({ target }) => target))].join(' ');
    if (wrong.length === 0) return { status: 'pass', subject, expected, observed: 'tmpfs with limits' };
    const remedy = 'A program mounted over the upper layer: find it, and reboot.';
    return { status: 'fail', subject, expected, observed: wrong.join('; '), remedy };
  },
};

function problems({ type, target, superOptions }: Mount): string[] {
  const has = (option: string) => superOptions.some((each) => each.startsWith(`${option}=`));
  return [
    ...(type === 'tmpfs' ? [] : [`an upper layer is on ${type} at ${target}`]),
    ...(has('size') ? [] : ['no limit for bytes (size=)']),
    ...(has('nr_inodes') ? [] : ['no limit for inodes (nr_inodes=)']),
  ];
}

/** Verifies that the used bytes and inodes of the tmpfs under /var are below USAGE_WARN and USAGE_FAIL. */
export const varUsage: Check = {
  id: 'var-usage',
  severity: 'required',
  seal: true,
  messageId: 'f9c348caf9d54bd1967b9b3d1fd3bfe5',
  documentation: {
    title: 'the upper layer of /var has free space',
    means:
      'The check measures with statfs(2) which percentage of the bytes and of the inodes of the tmpfs is used, which the overlays of OVERLAY share with /var. The check warns if a percentage reaches USAGE_WARN, and fails if a percentage reaches USAGE_FAIL. It also shows when the tmpfs is full at the present rate: the growth of the last ten minutes, half an hour or two hours, whichever is fastest, without the largest single step.',
    why: 'When the tmpfs is full, no program can write to /var or to the paths of OVERLAY: logging stops and services fail. Space becomes free only when files are removed or the guest reboots.',
    fix: 'Find the largest directories with `du -xh /run/var | sort -h | tail`. Make the program write less, put its directory on a disk that is emptied at every reboot (SCRATCH), or increase VAR_SIZE or VAR_INODES in /etc/immutafs/immutafs.conf while the guest is open.',
    page: 'writable-paths.md',
  },
  evaluate: ({ config, varUsage, largestFiles, forecast }) => {
    const usage = unwrap(varUsage);
    if (usage === undefined) {
      return {
        status: 'skip',
        subject: '/var',
        observed: '/var is not an overlay',
      };
    }
    const bytes = percent(usage.usedBytes, usage.sizeBytes);
    const inodes = percent(usage.inodesUsed, usage.inodes);
    const worst = Math.max(bytes, inodes);
    const warn = parseInt(config.USAGE_WARN, 10);
    const fail = parseInt(config.USAGE_FAIL, 10);
    const largest = 'value' in largestFiles ? largestFiles.value : [];
    const consumers = largest.map(
      (each) => `${each.path} ${formatBytes(each.bytes)} in ${each.inodes} inodes`,
    );
    const used = `${bytes}% of ${formatBytes(usage.sizeBytes)}, ${inodes}% of ${usage.inodes} inodes`;
    const usedShare = forecast === undefined ? used : `${used}; ${describeForecast(forecast)}`;
    const observed = consumers.length === 0 ? usedShare : `${usedShare}; largest: ${consumers.join(', ')}`;
    const expected = `less than ${warn}%`;
    const status = worst >= fail ? 'fail' : worst >= warn ? 'warn' : 'pass';
    const paths = largest.map(({ path }) => path);
    const scratch = proposeScratch(config, paths) ?? 'SCRATCH';
    const remedy =
      status === 'pass'
        ? ''
        : `Find the largest directories with \`du -xh /run/var | sort -h | tail\`; make the program write less, put its directory on SCRATCH_DEVICE (${scratch}), or increase VAR_SIZE or VAR_INODES.`;
    return { status, subject: '/var', expected, observed, remedy };
  },
};

/** Describes a forecast: "full in about 3 h at the present rate". */
export function describeForecast({ secondsUntilFull }: Forecast): string {
  return `full in about ${formatAge(secondsUntilFull)} at the present rate`;
}

/** Returns the used percentage, rounded up; 0 for a tmpfs without a limit. */
function percent(used: number, size: number): number {
  return size > 0 ? Math.ceil((used / size) * 100) : 0;
}

/** Verifies that no service has written state that the next reboot resets without a decision of an administrator. */
export const stateKept: Check = {
  id: 'state-kept',
  severity: 'advisory',
  seal: true,
  messageId: 'b97d715e158e40499d7a92697e35c4dc',
  documentation: {
    title: 'no service loses state at the next reboot',
    means:
      'The check reads the upper layers of /var and of the paths of OVERLAY, which the next reboot resets. It warns about files that may be state: data, queues, keys, registrations. Caches, logs, leases, package databases and other files that a service can do without are left out, as are paths that an administrator accepted (/etc/immutafs/accepted-writes). At most 20,000 entries are read.',
    why: 'What a service keeps below /var is lost at every reboot, unless it is in PERSIST or on a file system of its own.',
    fix: 'List what would be lost with `immutafs-agent changes --state`. Copy what is needed to another host before the reboot. While the disk is writable, run `immutafs-agent prepare --only state` and decide: keep the directory with PERSIST, or accept the loss with --accept.',
    page: 'prepare.md',
  },
  evaluate: ({ resetState }) => {
    const { list, isComplete } = unwrap(resetState);
    const expected = 'only what may be lost is reset at the reboot';
    const [first] = list;
    if (first === undefined) {
      const observed = isComplete
        ? 'nothing undecided was written'
        : 'nothing undecided in the entries that were read';
      return { status: 'pass', expected, observed };
    }
    return {
      status: 'warn',
      subject: shortList(list.flatMap(({ directories }) => directories)),
      expected,
      observed: `a reboot would lose: ${shortList(list.map(describe), ', ')}`,
      remedy:
        'List it with `immutafs-agent changes --state`; keep it with PERSIST or accept the loss: `immutafs-agent prepare --only state` in maintenance mode.',
    };
  },
};

function describe({ service, directories, files, bytes }: ResetState): string {
  const size = `${formatBytes(bytes)} in ${files} ${files === 1 ? 'file' : 'files'}`;
  return service === undefined ? `${directories[0] ?? ''} (${size})` : `${service.name} (${size})`;
}
