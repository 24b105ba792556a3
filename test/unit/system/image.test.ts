import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError, errorCode } from '../../../agent/lib/errors.ts';
import { imageReader, unlessRefused, unlessRefusedLater, imageWriter } from '../../../agent/system/image.ts';
import { type SystemReader, systemReader } from '../../../agent/system/reader.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import { inDirectories, writeFiles } from '../../harness/temporary.ts';

const reading = suite('the reader of an image');
const readingIn = inDirectories(reading);

const files = {
  'etc/fstab': 'LABEL=root / xfs defaults 0 0\n',
  'etc/mtab': { linkTo: '../proc/self/mounts' },
  'etc/resolv.conf': { linkTo: '/run/resolv.conf' },
  'etc/name': { linkTo: 'fstab' },
  'etc/circle': { linkTo: 'circle' },
  'var/run': { linkTo: '../run' },
  'procedure/file': 'own',
  'proc/self/mounts': 'builder',
  'sys/block/vda/size': '1',
  'run/resolv.conf': 'builder',
  'dev/vda': 'builder',
};

function refused(read: () => unknown, file: string): void {
  try {
    read();
    assert.unreachable(`${file} was read`);
  } catch (error) {
    assert.is(errorCode(error), 'EIMAGE', `${file}: ${String(error)}`);
    assert.instance(error, SystemError);
  }
}

readingIn('refuses every path at or below /proc, /sys, /dev and /run, also through links', (root) => {
  writeFiles(root, files);
  const reader = imageReader(systemReader({ root }));
  const ways: Record<string, (file: string) => unknown> = {
    read: (file) => reader.read(file),
    readIfPresent: (file) => reader.readIfPresent(file),
    readRecord: (file) => reader.readRecord(file, 0 as never),
    readAt: (file) => reader.readAt(file, 0, 1),
    pieces: (file) => reader.pieces(file),
    list: (file) => reader.list(file),
    hasEntries: (file) => reader.hasEntries(file),
    resolve: (file) => reader.resolve(file),
    usage: (file) => reader.usage(file),
  };
  const direct = [
    '/proc',
    '/proc/self/mounts',
    '/sys/block',
    '/dev/vda',
    '/run',
    '/run/absent',
    '//proc//x',
    '/etc/../proc/x',
  ];
  const linked = ['/etc/mtab', '/etc/resolv.conf', '/var/run', '/var/run/absent'];
  for (const [name, way] of Object.entries(ways))
    for (const file of [...direct, ...linked]) refused(() => way(file), `${name} ${file}`);
  for (const file of [...direct, '/var/run/absent']) {
    refused(() => reader.stat(file), `stat ${file}`);
    refused(() => reader.link(file), `link ${file}`);
  }
});

readingIn('reads the files of the image, and links themselves', (root) => {
  writeFiles(root, files);
  const reader = imageReader(systemReader({ root }));
  assert.is(reader.read('/etc/name'), files['etc/fstab']);
  assert.is(reader.read('/procedure/file'), 'own');
  assert.is(reader.readIfPresent('/etc/absent'), undefined);
  assert.is(reader.stat('/etc/mtab')?.kind, 'link');
  assert.is(reader.link('/etc/mtab'), '../proc/self/mounts');
  assert.throws(() => reader.read('/etc/circle'), /ELOOP|symbolic/i);
  assert.equal(reader.image?.takeNotes(), []);
});

readingIn('names each refusal once, in the words of a message', (root) => {
  const reader = imageReader(systemReader({ root }));
  for (const file of ['/proc/self/x', '/proc/12', '/sys/block', '/dev/vda', '/run/x', '/proc/meminfo'])
    assert.is(
      unlessRefused(() => reader.read(file)),
      undefined,
    );
  assert.is(
    unlessRefused(() => reader.processes.list()),
    undefined,
  );
  assert.is(
    unlessRefused(() => reader.environment().seconds),
    undefined,
  );
  assert.equal(reader.image?.takeNotes(), [
    'running processes',
    'the devices',
    'files below /run',
    'the memory of the guest',
    'changes since the boot',
  ]);
  assert.equal(reader.image?.takeNotes(), []);
  assert.throws(() => unlessRefused(() => reader.read('/absent')), /no such file/);
});

readingIn('starts only programs that read the files of the image', async (root) => {
  const ran: string[] = [];
  const system: SystemReader = {
    ...systemReader({ root }),
    run: (program) => {
      ran.push(program);
      return Promise.resolve({ stdout: '', ended: 'good' });
    },
  };
  const reader = imageReader(system);
  const isRefused = async (program: string, ...args: string[]) =>
    (await unlessRefusedLater(() => reader.run(program, args))) === undefined;
  assert.is(await isRefused('/usr/bin/rpm', '-qa'), false);
  assert.is(await isRefused('/usr/bin/lsinitrd', '/boot/x'), false);
  assert.is(await isRefused('/usr/bin/find', '/var', '-xdev'), false);
  assert.is(await isRefused('/usr/bin/find', '/var', '-xdev', '-exec', '/usr/bin/stat', '{}', '+'), false);
  assert.equal(ran.length, 4);
  assert.is(await isRefused('/usr/bin/find', '/var', '-type', 'f'), true);
  assert.is(await isRefused('/usr/bin/find', '/var', '/proc', '-xdev'), true);
  assert.is(await isRefused('/usr/bin/find', '/var', '-xdev', '-execdir', '/bin/sh', ';'), true);
  for (const program of ['/usr/bin/systemctl', 'find', '/usr/sbin/blkid'])
    assert.is(await isRefused(program, '-xdev'), true);
  assert.equal(ran.length, 4);
  for (const other of [() => reader.tryWrites(['/']), () => reader.probe([], '/')])
    assert.is(await unlessRefusedLater<unknown>(other), undefined);
  const others = [
    () => reader.kernelLog(),
    () => reader.deviceTables(),
    () => reader.environment().kernel,
    () => reader.environment().hostname,
  ];
  for (const other of others) assert.is(unlessRefused<unknown>(other), undefined);
  const writer = imageWriter({
    ...systemWriter(root),
    run: () => Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false }),
  });
  assert.is((await writer.run('/usr/bin/dracut', [], 1)).exit, 0);
  assert.is(await unlessRefusedLater(() => writer.run('/bin/systemctl', [], 1)), undefined);
});

reading.run();
