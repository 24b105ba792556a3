import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openPort } from '../../../agent/system/port.ts';

/** Tests the port with a pseudo-terminal in place of a virtio-serial port. host-identity.test.ts tests it in a guest. */
const test = suite('openPort');

/** Python that plays the host at the other end of a terminal, and prints the path of the terminal. */
const host = `import os, pty, sys, time, tty
master, slave = pty.openpty()
tty.setraw(slave)
print(os.ttyname(slave), flush=True)
def read_line():
    data = b""
    while not data.endswith(b"\\n"):
        data += os.read(master, 1)
    return data
`;

async function withPort<T>(program: string, work: (file: string) => Promise<T>): Promise<T> {
  const child = spawn('/usr/bin/python3', ['-c', host + program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  try {
    const { value } = await lines.next();
    return await work(value ?? '');
  } finally {
    child.kill('SIGKILL');
  }
}

test('lines that arrive in pieces, several at once, and late', () =>
  withPort(
    `
for _ in range(2):
    line = read_line()
    os.write(master, b"got "); time.sleep(0.2); os.write(master, line + b"more\\n")
time.sleep(10)`,
    async (file) => {
      const port = await openPort(file, 5000);
      assert.is(await port.ask('a\n'), 'got a');
      assert.is(await port.ask(''), 'more');
      assert.is(await port.ask(`${'b'.repeat(3000)}\n`), `got ${'b'.repeat(3000)}`);
      port.close();
    },
  ));

test('an answer that is there is read at once', () =>
  withPort('while True: os.write(master, read_line())', async (file) => {
    const port = await openPort(file, 30_000);
    const before = performance.now();
    for (let count = 0; count < 10; count += 1) await port.ask('a\n');
    const milliseconds = performance.now() - before;
    assert.ok(milliseconds < 500, `${milliseconds} ms`);
    port.close();
  }));

test('a host that does not answer, and one that does not end its line', async () => {
  const error = (program: string) =>
    withPort(program, async (file) => {
      const port = await openPort(file, 300);
      return port.ask('a\n').then(
        () => '',
        (thrown: unknown) => String(thrown),
      );
    });
  assert.match(await error('time.sleep(10)'), /the host did not answer within 0\.3 s/);
  assert.match(
    await error('while True: os.write(master, b"x" * 1000)'),
    /the host (sent a line that is too long|did not answer)/,
  );
});

test('no port', async () => {
  const thrown = await openPort('/dev/virtio-ports/none', 1000).catch((error: unknown) => error);
  assert.match(String(thrown), 'no such file or directory');
  assert.is((thrown as { code: string }).code, 'ENOENT');
});
test.run();
