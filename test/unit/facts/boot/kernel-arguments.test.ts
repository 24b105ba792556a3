import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type KernelArgument,
  namesTarget,
  parseKernelArgument,
  splitKernelArguments,
} from '../../../../agent/facts/boot/kernel-arguments.ts';

const nonsense = (word: string) => `kernel argument ${word}: must be auto, sealed or off, ignoring it`;

/**
 * Contents of /proc/cmdline, each with the result of the parser, which the boot uses, too.
 */
const kernelArguments: Record<string, KernelArgument> = {
  '': { mode: undefined, problems: [] },
  'BOOT_IMAGE=/vmlinuz-3.10.0-862.el7.x86_64 root=/dev/mapper/rhel-root ro crashkernel=auto rhgb quiet': {
    mode: undefined,
    problems: [],
  },
  'ro immutafs=off quiet': { mode: 'off', problems: [] },
  'immutafs=sealed': { mode: 'sealed', problems: [] },
  '  immutafs=auto  ': { mode: 'auto', problems: [] },
  'immutafs=off immutafs=sealed': { mode: 'sealed', problems: [] },
  'immutafs=off immutafs=nonsense': { mode: 'off', problems: [nonsense('immutafs=nonsense')] },
  'immutafs=': { mode: undefined, problems: [nonsense('immutafs=')] },
  'immutafs=OFF immutafs=off,sealed': {
    mode: undefined,
    problems: [nonsense('immutafs=OFF'), nonsense('immutafs=off,sealed')],
  },
  'immutafs ximmutafs=off immutafs.mode=off rd.immutafs=off': { mode: undefined, problems: [] },
  'init=/bin/sh\timmutafs=off': { mode: 'off', problems: [] },
  'foo="bar immutafs=off baz" ro': { mode: undefined, problems: [] },
  'foo="bar" immutafs=off "baz"': { mode: 'off', problems: [] },
  'immutafs="off" ro': { mode: 'off', problems: [] },
  'ro "immutafs=sealed" quiet': { mode: 'sealed', problems: [] },
  'immutafs="off ro': { mode: undefined, problems: [nonsense('immutafs=off ro')] },
  'immutafs=o"f"f': { mode: undefined, problems: [nonsense('immutafs=o"f"f')] },
};

/** Maps contents of /proc/cmdline to their arguments (the kernel's lib/cmdline.c, next_arg()). */
const splitArguments: Record<string, string[]> = {
  '': [],
  ' \t ': [],
  'ro  quiet\t root=/dev/vda1 ': ['ro', 'quiet', 'root=/dev/vda1'],
  'foo="bar immutafs=off baz" ro': ['foo=bar immutafs=off baz', 'ro'],
  '"root=LABEL=my root" ro': ['root=LABEL=my root', 'ro'],
  'root="LABEL=my root" ro': ['root=LABEL=my root', 'ro'],
  'a="b"': ['a=b'],
  'a=b" c"': ['a=b" c"'],
  'a" "b=c d': ['a" "b=c', 'd'],
  '"a b" c': ['a b', 'c'],
  '"a" "b"': ['a', 'b'],
  '"a b c': ['a b c'],
  'a="b c': ['a=b c'],
  'a="': ['a='],
  'a="" b': ['a=', 'b'],
  '"" b': ['', 'b'],
  '"': [''],
  'a="b""c d"e f': ['a=b""c d"e', 'f'],
  'a="b" c" d': ['a=b', 'c" d'],
  "a='b c' d": ["a='b", "c'", 'd'],
  '=a="b" ="c"': ['=a=b', '="c"'],
  'a=b="c d" e': ['a=b="c d"', 'e'],
  'a=* ?[b] \\" c" d': ['a=*', '?[b]', '\\" c"', 'd'],
};

const kernel = suite('the kernel argument immutafs');
for (const [cmdline, expected] of Object.entries(kernelArguments)) {
  kernel(cmdline, () => assert.equal(parseKernelArgument(cmdline), expected));
}
for (const [cmdline, words] of Object.entries(splitArguments)) {
  kernel(`the arguments of ${cmdline}`, () => assert.equal(splitKernelArguments(cmdline), words));
}

/** Command lines, each with whether systemd starts the target that it names (systemd's src/core/main.c). */
const targets: [string, boolean][] = [
  ...['systemd.unit=rescue.target', 'rescue', 'emergency', 'single', '-b', '-s', 's', 'S', '1', '3', '5'].map(
    (word): [string, boolean] => [`ro ${word} quiet`, true],
  ),
  ...[
    '',
    'rd.systemd.unit=x.target',
    'systemd.unit',
    'xsingle',
    '0',
    '6',
    '12',
    'systemd.mask=s.service',
  ].map((word): [string, boolean] => [`ro ${word} quiet`, false]),
];
for (const [cmdline, expected] of targets) {
  kernel(`the target of ${cmdline}`, () => assert.is(namesTarget(splitKernelArguments(cmdline)), expected));
}
kernel.run();
