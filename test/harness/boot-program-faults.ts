/** A program with the native part of immutafs-boot that fails in the way of its first argument. */
import type { Native } from '../../boot/native/native.ts';

declare const native: Native;

const faults: Readonly<Record<string, (argument: string) => void>> = {
  throw: () => {
    throw new Error('a defect');
  },
  memory: () => {
    const texts: string[] = [];
    for (;;) texts.push(`${'x'.repeat(1 << 20)}${texts.length}`);
  },
  stack: () => {
    const deeper = (): number => deeper() + 1;
    deeper();
  },
  time: () => {
    native.limit(1);
    for (;;);
  },
  'no-exit': () => undefined,
  read: (file) => {
    native.print(1, native.read(file, 10, 2));
    native.exit(0);
  },
  list: (file) => {
    native.print(1, native.list(file).sort().join('\n'));
    native.exit(0);
  },
  resolve: (file) => {
    native.print(1, native.resolve(file));
    native.exit(0);
  },
  'set-read-only': (file) => {
    native.setReadOnly(file);
    native.exit(0);
  },
  run: (program) => {
    native.print(1, `${native.run(program, 'a b')}`);
    native.exit(0);
  },
  character: () => {
    native.mode('\u0100');
  },
  nul: () => {
    native.mode('/dev/null\0');
  },
};

const [fault = '', argument = ''] = native.arguments;
faults[fault]?.(argument);
