import { type Change, all, file, mount } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';

const id = 'random-seed';
const rng = (current: string | undefined) => file('sys/class/misc/hw_random/rng_current', current);
const seed = file('var/lib/systemd/random-seed', 'x');
const cpu = (line: string) => file('proc/cpuinfo', `processor\t: 0\n${line}\n\nprocessor\t: 1\n`);
const x86 = (flags: string) => cpu(`flags\t\t: fpu vme ${flags} sse`);
const argument =
  (text: string): Change =>
  (guest) => {
    guest.files['proc/cmdline'] = `root=/dev/vda ${text}\n`;
  };

testChanges(id, {
  'no source': [
    all(rng(undefined), seed),
    { [id]: 'warn' },
    'no random source; the seed is the same at every boot',
  ],
});

testFindings(id, {
  [id]: {
    'virtio-rng': [() => undefined, 'pass', 'virtio_rng.0'],
    'a list of generators of which none is current': [rng('none\n'), 'warn', 'there is no seed'],
    RDRAND: [all(rng(undefined), x86('rdrand')), 'pass', 'RDRAND'],
    'RDSEED, and virtio-rng': [x86('rdrand rdseed'), 'pass', 'virtio_rng.0 and RDSEED'],
    'RNDRRS of ARM': [all(rng(undefined), cpu('Features\t: fp asimd rng')), 'pass', 'RNDRRS'],
    'the name of another flag': [all(rng(undefined), x86('xrdrand rdrandx')), 'warn'],
    'RDRAND that the kernel does not trust': [
      all(rng(undefined), x86('rdrand'), argument('random.trust_cpu=off')),
      'warn',
      'no random source (RDRAND: random.trust_cpu=off)',
    ],
    'RDRAND that the kernel trusts': [
      all(rng(undefined), x86('rdrand'), argument('random.trust_cpu=on')),
      'pass',
    ],
    'a seed that is kept on a data disk': [
      all(rng(undefined), seed, mount('kept', '252:16 /s /var/lib/systemd rw,nosuid - xfs /dev/vdb rw')),
      'pass',
      'is kept across reboots',
    ],
    'a seed on a mount that is read-only': [
      all(rng(undefined), seed, mount('kept', '252:16 /s /var/lib/systemd ro,nosuid - xfs /dev/vdb rw')),
      'warn',
    ],
  },
});
