import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootIn, config, small } from '../shell/initramfs.ts';
import { bootEnv, generatorScripts } from '../harness/generator.ts';
import { runInSandbox } from '../shell/sandbox.ts';

/** The sandbox has a PID namespace of its own, so the difference of two PIDs is the number of processes between. */
const counting = (command: string, file: string) =>
  `sh -c 'echo $$' >/out/first; ${command}; sh -c 'echo $$' >/out/last; echo $(($(cat /out/last) - $(cat /out/first) - 2)) >${file}`;

/** Counts the processes that `immutafs-boot initramfs` starts in the initramfs. */
function inInitramfs(overlay: string): number {
  const { after, bootEnv: record } = bootIn(['dash'])({
    files: {
      ...config(`${small}${overlay}`),
      ...Object.fromEntries(['root', 'opt', 'opt/agent', 'srv'].map((each) => [`sysroot/${each}/x`, ''])),
    },
    before: 'chmod 0550 /sysroot/root',
    script: counting('/usr/libexec/immutafs/immutafs-boot initramfs /sysroot', '/out/count'),
    after: 'cat /out/count',
  });
  const wanted = overlay.split(' ').filter((word) => word.includes('/')).length;
  assert.is(record.filter((line) => /^OVERLAY=\S+ overlay$/.test(line)).length, wanted);
  return Number(after);
}

function inGenerator(overlay: string): number {
  const { out, stderr } = runInSandbox({
    shell: ['dash'],
    files: {
      'etc/fstab': '',
      'run/immutafs/boot.env': `${bootEnv('sealed')}OVERLAY=/root overlay\nOVERLAY=/opt/agent deferred\n`,
      'etc/immutafs/immutafs.conf': overlay,
    },
    run: `mkdir /generated /var; mount -t tmpfs x /var
      ${counting('sh /usr/libexec/immutafs/immutafs-generator /generated /generated /generated', '/out/count')}`,
    scripts: generatorScripts,
  });
  assert.is(stderr, '');
  return Number(out['count']);
}

// Dash does not run mount(8) and the others as built-ins, as busybox does.
const processes = suite('processes that OVERLAY costs');

processes('none in the initramfs but the program itself, for any number of paths and modes', () => {
  for (const overlay of ['', 'OVERLAY=\n', 'OVERLAY=/opt /opt/agent /srv\n', 'OVERLAY=/opt /root /srv\n'])
    assert.is(inInitramfs(overlay), 0);
});

processes('none in the generator', () => {
  const without = inGenerator('');
  assert.is(inGenerator('OVERLAY=/root /opt/agent\n'), without);
});

processes.run();
