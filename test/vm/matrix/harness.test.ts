import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseReport } from '../harness/report.ts';
import { EmulatorFault, isClockTooFast } from '../harness/run.ts';
import { withoutAgent, xfsOnLvm } from '../harness/scenario.ts';
import { runWithRetry } from '../harness/retry.ts';
import { templateOf } from '../harness/template.ts';
import { ordinaryTree } from '../harness/ordinary-tree.ts';

const harness = suite('the harness');

harness('a panic and a timeout are not taken for a power-off', () =>
  withoutAgent({}, async (guest) => {
    const panic = await guest.boot({ disk: 'readonly', arguments: ['rdinit=/bin/false'] });
    assert.is(panic.endedBy, 'panic');

    const slow = await guest.boot({ disk: 'readonly', limitSeconds: 2, steps: { one: 'true' } });
    assert.is(slow.endedBy, 'timeout');
    assert.is(slow.done, false);
    assert.throws(() => slow.step('one'), /step one did not run; the guest ended by timeout/);
  }),
);

harness("a boot that fails while the guest's clock runs too fast is a fault of the emulation", () =>
  withoutAgent({}, async (guest) => {
    // A time stamp counter of 20 MHz is slower than that of every machine.
    const words = ['rdinit=/bin/false', 'tsc_early_khz=20000'];
    const reason: unknown = await guest
      .boot({ disk: 'readonly', arguments: words })
      .catch((error: unknown) => error);
    assert.instance(reason, EmulatorFault);
    assert.match((reason as Error).message, /clock ran several times too fast:\n[^]*Kernel panic/);
  }),
);

harness('if QEMU aborts, the boot is repeated on the original disks, three times at most', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'retry-'));
  const image = join(folder, 'image.raw');
  const { bootFiles: boot } = await templateOf(xfsOnLvm, await ordinaryTree());
  const drive = { serial: 'x', file: image, format: 'raw', readOnly: false, bus: 'virtio-blk' } as const;
  const machine = {
    // With less memory, or without waiting for its root, the machine would end by itself.
    ...{
      boot,
      arguments: ['root=/dev/none', 'rd.retry=600'],
      drives: [drive],
      memoryMiB: 1024,
      processors: 1,
    },
    ...({ time: 'real', durable: false } as const),
  };
  const found: string[] = [];
  /**
   * In each attempt except the last, the machine writes to the disk and QEMU aborts. The last attempt ends by a power
   * cut.
   */
  const faults = (count: number) => () => {
    found.push(readFileSync(image, 'utf8'));
    if (found.length > count) return { seconds: 60, powerCutAt: { after: 0, milliseconds: 0 } };
    writeFileSync(image, 'written');
    void waitUntil(
      async () => (await execa('pkill', ['-ABRT', '-f', `qemu.*${image}`], { reject: false })).exitCode === 0,
    );
    return { seconds: 60 };
  };
  try {
    await writeFile(image, 'as it was');
    const { endedBy } = await runWithRetry(machine, folder, faults(2));
    assert.equal([endedBy, found], ['power-cut', ['as it was', 'as it was', 'as it was']]);
    found.length = 0;
    const error: unknown = await runWithRetry(machine, folder, faults(3)).catch((reason: unknown) => reason);
    assert.instance(error, EmulatorFault);
    assert.is(found.length, 3);
  } finally {
    await rm(folder, { recursive: true });
  }
});

harness("a guest's clock that is several times too fast is recognised by its messages", () => {
  const console = (time: string) =>
    `[    1.234567] first\nStarting x\n[${time}] guest systemd[1]: Timed out waiting for device\n[FAILED] x\n`;
  const cases = [
    ['  357.016532', 42, true],
    ['   94.000001', 42.5, false],
    ['   95.500000', 42, true],
    ['   41.900000', 42, false],
  ] as const;
  for (const [time, seconds, expected] of cases)
    assert.is(isClockTooFast(console(time), seconds), expected, time);
  assert.is(isClockTooFast('no message of the kernel\n', 1), false);
});

harness('parseReport reads the part of a report that has arrived', () => {
  const bytes = Buffer.from('up\nstep one 0 3 2\nab\nc\nstep two 1 4 0\nst');
  const { up, steps, done, emergency } = parseReport(bytes);
  assert.equal({ up, done, emergency }, { up: true, done: false, emergency: null });
  assert.equal([...steps], [['one', { exit: 0, stdout: 'ab\n', stderr: 'c\n' }]]);
});

harness('the same layout can be edited twice at the same time', async () => {
  const entered = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
  const both = Promise.all(entered.map(({ promise }) => promise));
  await Promise.all(
    entered.map(({ resolve }) =>
      withoutAgent({ edit: () => (resolve(undefined), both.then(() => undefined)) }, () => Promise.resolve()),
    ),
  );
});

harness('a killed run leaves no loop device and no mount', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'killed-'));
  const image = join(folder, 'image');
  await execa('truncate', ['--size', '20M', image]);
  await execa('mkfs.ext4', ['-q', image]);
  const child = execa(process.execPath, ['--input-type=module-typescript', '--eval', holdMount(image)]);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  assert.match(await loops(), new RegExp(image), 'the child has a loop device before it is killed');
  child.kill('SIGKILL');
  await child.catch(() => undefined);
  await waitUntil(async () => !(await loops()).includes(image));
  await rm(folder, { recursive: true });
});

function holdMount(image: string): string {
  return `
    import { withLoop } from ${JSON.stringify(join(import.meta.dirname, '../harness/loop.ts'))};
    import { withMounts } from ${JSON.stringify(join(import.meta.dirname, '../harness/mounts.ts'))};
    await withMounts(async (mounts) => {
      await withLoop(${JSON.stringify(image)}, { offset: 0, size: 20 << 20 }, (device) => mounts.mount(device, ''));
      console.log('mounted');
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    });`;
}

async function loops(): Promise<string> {
  return (await execa('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'])).stdout;
}

/** Waits until a condition holds. @throws after ten seconds */
async function waitUntil(condition: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > end) assert.unreachable('not within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

harness.run();
