import { execFile } from 'node:child_process';
import { type FileHandle, mkdir, open, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { inRoot } from '../../../packaging/build/paths.ts';
import { linkCollection, runPython } from '../../harness/collection.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { until } from '../../wire/support/until.ts';
import {
  type Hypervisor,
  defineXml,
  redefine,
  refusalOf,
  setReadOnly,
  withHypervisor,
} from '../libvirt/hypervisor.ts';
import { migrationHere } from '../libvirt/migration.ts';
import { installIdentity, recordReceipt } from '../libvirt/identity-host.ts';
import { makeLoader } from '../libvirt/domain.ts';
import { type Stub, stubSuite } from '../libvirt/stub-suite.ts';

/**
 * Tests what the host examines before it certifies a guest, with a real libvirt and QEMU, and a domain without an operating
 * system. `host-identity.test.ts` has a guest that boots, and test/unit/ansible/identity-host.test.ts further forgeries.
 */
const examinations = stubSuite('what the host examines, with libvirt and QEMU', {
  systemFormat: 'qcow2',
  isSealed: true,
});

/** Python that examines the domain `stub` as immutafs-identity does, and prints the facts, or the reason of the refusal. */
const program = `import json, sys, time
given = json.load(sys.stdin)
sys.path.insert(0, given["files"])
from identity_service.certifier import Certifier
from ansible_collections.immutafs.agent.plugins.module_utils.examination import Refusal
certifier = Certifier(given["settings"], None, None, lambda uuid, text: None)
try:
    begin = time.process_time()
    found = certifier.examine(given["uuid"], given["socket"])
    certifier.examine(given["uuid"], given["socket"])
    found = dict(found, seconds=(time.process_time() - begin) / 2, sockets=certifier.sockets())
except Refusal as refusal:
    found = str(refusal)
print(json.dumps(found))`;

interface Facts extends Record<string, unknown> {
  seconds: number;
  sockets: Record<string, string>;
}

/** The settings of the service that a test changes. */
type Settings = Record<string, unknown>;

/** Returns a function that examines the domain of `stub`, which runs on a host, in a new process. */
async function examiner({ directory }: Pick<Stub, 'directory'>, host: Hypervisor, change: Settings = {}) {
  const xml = await host.virsh('dumpxml', 'stub');
  const [, socket = ''] = /<source mode='bind' path='([^']*)'/.exec(xml) ?? [];
  const [, uuid = ''] = /<uuid>(.*)<\/uuid>/.exec(xml) ?? [];
  const settings = { uri: host.uri, directory, disks: {}, withdrawn: [], ...change };
  return () =>
    whileTemporaryDirectory(async (folder) => {
      linkCollection(folder);
      const child = promisify(execFile)('/usr/bin/python3', ['-B', '-c', program], {
        env: { PYTHONPATH: folder },
      });
      const files = inRoot('ansible/roles/identity/files');
      child.child.stdin?.end(JSON.stringify({ files, settings, uuid, socket }));
      return JSON.parse((await child).stdout) as Facts | string;
    });
}

/** Returns the facts about the domain. @throws if the examination was refused */
async function factsOf(stub: Stub, host = stub.hypervisor): Promise<Facts> {
  const facts = await (await examiner(stub, host))();
  if (typeof facts === 'string') throw new Error(facts);
  return facts;
}

/** Asserts the reason why the domain is refused. */
async function assertRefused(
  stub: Stub,
  reason: RegExp,
  change: Settings = {},
  host = stub.hypervisor,
): Promise<void> {
  const refusal = await (await examiner(stub, host, change))();
  assert.type(refusal, 'string', JSON.stringify(refusal));
  assert.match(refusal as string, reason);
}

const record = ({ ansible, hypervisor, directory }: Stub) =>
  recordReceipt(ansible, hypervisor, { name: 'stub' }, directory);

const channel = "<channel type='unix'><target type='virtio' name='org.immutafs.identity'/></channel>";

/** A test of a sealed domain in a qcow2 file, which runs, with the channel and a receipt. */
const examination = (title: string, test: (stub: Stub) => Promise<void>) =>
  examinations(title, async (stub) => {
    const { directory, expect, hypervisor, virsh } = stub;
    await mkdir(directory);
    await redefine(hypervisor, 'stub', (xml) => xml.replace('</devices>', `${channel}</devices>`));
    await expect('boot', {}, {});
    await record(stub);
    await virsh('start', 'stub');
    await test(stub);
  });

/** A change on the host, and the reason why the domain is refused after it; null if it is certified. */
type Row = readonly [change: () => Promise<unknown>, reason: RegExp | null];

async function assertRows(stub: Stub, rows: readonly Row[]): Promise<void> {
  for (const [change, reason] of rows) {
    await change();
    await (reason === null ? factsOf(stub) : assertRefused(stub, reason));
  }
}

const written = /^a process of the host has the image of vda open for writing/;
const otherImage = /^the receipt is not of the image/;

examination('a sealed domain, and the same domain after each change', async (stub) => {
  const { folder, hypervisor: host, image, virsh, xml } = stub;
  const facts = await factsOf(stub);
  assert.equal(
    [facts['name'], facts['target'], facts['firmware'], facts['seed']],
    ['stub', 'vda', 'bios', null],
  );
  assert.is(Object.keys(facts.sockets).length, 1);
  console.log(`an examination takes ${(facts.seconds * 1000).toFixed(1)} ms of processor time`);

  await assertRefused(stub, /was withdrawn/, { withdrawn: [facts['sha256']] });
  await assertRefused(
    stub,
    /^the firmware may boot from a disk other than vdb|^the system disk vdb is writable/,
    { disks: { stub: 'vdb' } },
  );

  const own = await xml();
  const copyAs = (name: string) =>
    defineXml(
      host,
      own
        .replace('<name>stub<', `<name>${name}<`)
        .replace(/<uuid>.*<\/uuid>/, '')
        .replace('<readonly/>', ''),
    );
  const forgetCopy = (name: string) => virsh('undefine', name);
  /** Makes a change while the domain is shut off. */
  const restart = (change: () => Promise<unknown>) => async () => {
    await virsh('destroy', 'stub');
    await change();
    await virsh('start', 'stub');
  };
  const restartWithSeal = (on: boolean) => restart(() => setReadOnly(host, 'stub', on));
  const pause = async () => {
    await virsh('suspend', 'stub');
    await virsh('resume', 'stub');
  };
  const restore = async () => {
    await virsh('managedsave', 'stub');
    await virsh('start', 'stub');
  };
  const kernel = await makeLoader(join(folder, 'stub'));
  const change = (from: RegExp, to: string) =>
    restart(() => redefine(host, 'stub', (text) => text.replace(from, to)));
  // The receipt is of both files.
  const base = join(folder, 'stub/base.qcow2');
  const putOnBase = async () => {
    await execa('mv', [image, base]);
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', image]);
  };
  // The receipt does not describe the further file.
  const moveData = async () => {
    const data = ['-o', `data_file=${join(folder, 'stub/data.raw')}`];
    await execa('qemu-img', ['convert', '-O', 'qcow2', ...data, base, `${base}.new`]);
    await execa('mv', [`${base}.new`, base]);
  };
  let writer: FileHandle | undefined;
  const openForWriting = (file: string) => async () => (writer = await open(file, 'r+'));
  const closeFile = async () => writer?.close();

  await assertRows(stub, [
    [openForWriting(image), written],
    [closeFile, null],
    [() => copyAs('other'), /^another disk can write the image of vda$/],
    [() => forgetCopy('other'), null],
    [() => copyAs('Stub'), /^the name of another domain with the channel differs from stub only in case/],
    [() => forgetCopy('Stub'), null],
    [() => virsh('suspend', 'stub'), /^the domain is not running/],
    [() => virsh('resume', 'stub'), null],
    [restore, /^the memory of the guest was not made by a boot on this host \(restored\)/],
    [pause, /^the guest was migrated to this host or restored from a file/],
    [restartWithSeal(false), /^the system disk vda is writable/],
    // Nothing was written meanwhile.
    [restartWithSeal(true), null],
    [restart(() => utimes(image, new Date(), new Date())), otherImage],
    [() => record(stub), null],
    [change(/(<os[^]*?)<\/os>/, `$1<kernel>${kernel}</kernel></os>`), /^QEMU loads the kernel directly/],
    [change(/ *<kernel>.*<\/kernel>\n/, ''), null],
    [restart(putOnBase), otherImage],
    [() => record(stub), null],
    [openForWriting(base), written],
    [closeFile, null],
    [() => rm(join(stub.directory, 'stub/receipt.json')), /^the guest has no receipt/],
  ]);
  await restart(moveData)();
  await assertRows(stub, [[() => record(stub), /^the image of vda has an external data file/]]);
});

/** Python that makes the keys of a host in a folder. */
const makeKeys = `import json, sys, time
given = json.load(sys.stdin)
sys.path.insert(0, given["harness"])
from identity import *
key = new_key()
for name, data in (("host.key", pem(key)), ("host.pem", in_pem(authority(key, begin=time.time() - 1000)))):
    with open(os.open(given["folder"] + "/" + name, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(data)
print(json.dumps(True))`;

examination(
  'libvirt is restarted: the domain is certified again, and the service stays connected and finds a domain that starts later',
  async (stub) => {
    const { ansible, directory, folder, hypervisor: host, virsh } = stub;
    const keys = join(folder, 'keys');
    await mkdir(keys);
    runPython(makeKeys, { harness: inRoot('test/harness'), folder: keys });
    const service = await installIdentity(ansible, host, keys, directory);
    const isConnected = async () => {
      const said = await virsh('qemu-monitor-command', 'stub', '--hmp', 'info chardev');
      const [, name = ''] = /^charchannel\d+: filename=(.*org\.immutafs\.identity.*)$/m.exec(said) ?? [];
      assert.match(name, /^(disconnected:)?unix:/, said);
      return !name.startsWith('disconnected:');
    };
    assert.is(await isConnected(), false);
    const before = await factsOf(stub);
    await service.start({ ssh_key: '' });
    await until('the service is connected', isConnected, 30);
    const ask = await examiner(stub, host);
    await host.restart(async () => {
      assert.match(await refusalOf(ask()), /LibvirtError: libvirt cannot be reached/);
    });
    assert.ok(await isConnected());
    const after = await factsOf(stub);
    assert.equal([after['sha256'], after.sockets], [before['sha256'], before.sockets]);
    await virsh('destroy', 'stub');
    await virsh('start', 'stub');
    await until('the service is connected again', isConnected, 60);
    assert.equal(service.log(), []);
    await service.kill();
    await until('the service has ended', async () => !(await isConnected()), 30);
  },
);

/** The source of a migration reports what it has sent; the destination does not, also after libvirt has forgotten the reason. */
examination('a domain that was migrated to this host is refused until it is started here', async (stub) =>
  withHypervisor(async (host) => {
    const { options } = await migrationHere(stub.hypervisor, 'stub');
    const keep = ['--live', '--persistent', '--undefinesource'];
    await stub.virsh('migrate', 'stub', host.uri, ...keep, ...options);
    const migrated =
      /^the memory of the guest was not made by a boot on this host \(migrated\): shut it down and start it$/;
    await assertRefused(stub, migrated, {}, host);
    await host.virsh('suspend', 'stub');
    await host.virsh('resume', 'stub');
    await assertRefused(stub, /^the guest was migrated to this host or restored/, {}, host);
    await host.virsh('destroy', 'stub');
    await host.virsh('start', 'stub');
    await factsOf(stub, host);
  }),
);

examinations.run();
