import { execFile } from 'node:child_process';
import { mkdir, open, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { execa } from 'execa';
import { suite } from 'uvu';
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
import type { Ansible } from '../libvirt/playbooks.ts';
import { makeLoader } from '../libvirt/domain.ts';
import { stubXml, withStubDomain } from '../libvirt/stub-domain.ts';

/**
 * Tests what the host examines before it certifies a guest, with a real libvirt and QEMU, and a domain without an operating
 * system. `host-identity.test.ts` has a guest that boots, and test/unit/ansible/identity-host.test.ts further forgeries.
 */
const examination = suite('what the host examines, with libvirt and QEMU');

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

/** Returns a function that examines the domain, which runs, in a new process. */
async function examiner(host: Hypervisor, change: Record<string, unknown> = {}) {
  const xml = await host.virsh('dumpxml', 'stub');
  const [, socket = ''] = /<source mode='bind' path='([^']*)'/.exec(xml) ?? [];
  const [, uuid = ''] = /<uuid>(.*)<\/uuid>/.exec(xml) ?? [];
  const settings = {
    uri: host.uri,
    directory: join(host.folder, 'receipts'),
    disks: {},
    withdrawn: [],
    ...change,
  };
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

const examine = async (...about: Parameters<typeof examiner>) => (await examiner(...about))();

const channel = "<channel type='unix'><target type='virtio' name='org.immutafs.identity'/></channel>";

/** Seals the domain `stub`, with the channel and a receipt, and starts it. */
async function sealStub(ansible: Ansible, host: Hypervisor): Promise<void> {
  await mkdir(join(host.folder, 'receipts'));
  await redefine(host, 'stub', (xml) => xml.replace('</devices>', `${channel}</devices>`));
  await setReadOnly(host, 'stub', true);
  const { failed, msg } = await ansible.module('boot', { uri: host.uri, domain: 'stub', target: 'vda' });
  assert.is(failed, false, msg);
  await recordReceipt(ansible, host, { name: 'stub' }, join(host.folder, 'receipts'));
  await host.virsh('start', 'stub');
}

const image = (host: Hypervisor) => join(host.folder, 'stub/system.qcow2');

examination('a sealed domain, and the same domain after each change', () =>
  withStubDomain(
    async (ansible, host) => {
      await sealStub(ansible, host);
      const facts = await examine(host);
      if (typeof facts === 'string') throw new Error(facts);
      assert.equal(
        [facts['name'], facts['target'], facts['firmware'], facts['seed']],
        ['stub', 'vda', 'bios', null],
      );
      assert.is(Object.keys(facts.sockets).length, 1);
      console.log(`an examination takes ${(facts.seconds * 1000).toFixed(1)} ms of processor time`);
      const refused = async (reason: RegExp, change?: Record<string, unknown>) =>
        assert.match(JSON.stringify(await examine(host, change)), reason);
      const restart = async (change: () => Promise<unknown>) => {
        await host.virsh('destroy', 'stub');
        await change();
        await host.virsh('start', 'stub');
      };

      await refused(/was withdrawn/, { withdrawn: [facts['sha256']] });
      await refused(/^"the firmware may boot from a disk other than vdb|^"the system disk vdb is writable/, {
        disks: { stub: 'vdb' },
      });
      const writer = await open(image(host), 'r+');
      await refused(/^"a process of the host has the image of vda open for writing/);
      await writer.close();

      const xml = await stubXml(host);
      const copy = xml
        .replace('<name>stub<', '<name>other<')
        .replace(/<uuid>.*<\/uuid>/, '')
        .replace('<readonly/>', '');
      await defineXml(host, copy);
      await refused(/^"another disk can write the image of vda"$/);
      await host.virsh('undefine', 'other');
      await defineXml(host, copy.replace('<name>other<', '<name>Stub<'));
      await refused(/^"the name of another domain with the channel differs from stub only in case/);
      await host.virsh('undefine', 'Stub');
      assert.is.not(typeof (await examine(host)), 'string');

      await host.virsh('suspend', 'stub');
      await refused(/^"the domain is not running/);
      await host.virsh('resume', 'stub');
      assert.is.not(typeof (await examine(host)), 'string', 'paused and resumed on this host');
      await host.virsh('managedsave', 'stub');
      await host.virsh('start', 'stub');
      await refused(/^"the memory of the guest was not made by a boot on this host \(restored\)/);
      await host.virsh('suspend', 'stub');
      await host.virsh('resume', 'stub');
      await refused(/^"the guest was migrated to this host or restored from a file/);

      await restart(() => setReadOnly(host, 'stub', false));
      await refused(/^"the system disk vda is writable/);
      await restart(() => setReadOnly(host, 'stub', true));
      assert.is.not(typeof (await examine(host)), 'string', 'nothing was written meanwhile');
      await restart(() => utimes(image(host), new Date(), new Date()));
      await refused(/^"the receipt is not of the image/);
      await recordReceipt(ansible, host, { name: 'stub' }, join(host.folder, 'receipts'));
      assert.is.not(typeof (await examine(host)), 'string');

      const kernel = await makeLoader(join(host.folder, 'stub'));
      await restart(() =>
        redefine(host, 'stub', (text) =>
          text.replace(/(<os[^]*?)<\/os>/, `$1<kernel>${kernel}</kernel></os>`),
        ),
      );
      await refused(/^"QEMU loads the kernel directly/);
      await restart(() => redefine(host, 'stub', (text) => text.replace(/ *<kernel>.*<\/kernel>\n/, '')));
      assert.is.not(typeof (await examine(host)), 'string');

      // An image with a backing file: the receipt is of both.
      const base = join(host.folder, 'stub/base.qcow2');
      await restart(async () => {
        await execa('mv', [image(host), base]);
        await execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', image(host)]);
      });
      await refused(/^"the receipt is not of the image/);
      await recordReceipt(ansible, host, { name: 'stub' }, join(host.folder, 'receipts'));
      assert.is.not(typeof (await examine(host)), 'string');
      const second = await open(base, 'r+');
      await refused(/^"a process of the host has the image of vda open for writing/);
      await second.close();
      await rm(join(host.folder, 'receipts/stub/receipt.json'));
      await refused(/^"the guest has no receipt/);

      // An image whose data are in a further file, which the receipt does not describe.
      await restart(async () => {
        const data = ['-o', `data_file=${join(host.folder, 'stub/data.raw')}`];
        await execa('qemu-img', ['convert', '-O', 'qcow2', ...data, base, `${base}.new`]);
        await execa('mv', [`${base}.new`, base]);
      });
      await recordReceipt(ansible, host, { name: 'stub' }, join(host.folder, 'receipts'));
      await refused(/^"the image of vda has an external data file/);
    },
    undefined,
    'qcow2',
  ),
);

examination('libvirt is restarted: the domain continues, and is certified when libvirt answers', () =>
  withStubDomain(
    async (ansible, host) => {
      await sealStub(ansible, host);
      const before = await examine(host);
      const ask = await examiner(host);
      await host.restart(async () => {
        assert.match(await refusalOf(ask()), /LibvirtError: libvirt cannot be reached/);
      });
      const after = await ask();
      if (typeof before === 'string' || typeof after === 'string')
        throw new Error(JSON.stringify([before, after]));
      assert.equal([after['sha256'], after.sockets], [before['sha256'], before.sockets]);
    },
    undefined,
    'qcow2',
  ),
);

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
  'libvirt is restarted while the service runs: it stays connected, and finds a domain that starts later',
  () =>
    withStubDomain(
      async (ansible, host) => {
        await sealStub(ansible, host);
        const keys = join(host.folder, 'keys');
        await mkdir(keys);
        runPython(makeKeys, { harness: inRoot('test/harness'), folder: keys });
        const service = await installIdentity(ansible, host, keys, join(host.folder, 'receipts'));
        const isConnected = async () => {
          const said = await host.virsh('qemu-monitor-command', 'stub', '--hmp', 'info chardev');
          const [, name = ''] = /^charchannel\d+: filename=(.*org\.immutafs\.identity.*)$/m.exec(said) ?? [];
          assert.match(name, /^(disconnected:)?unix:/, said);
          return !name.startsWith('disconnected:');
        };
        assert.is(await isConnected(), false);
        await service.start({ ssh_key: '' });
        await until('the service is connected', isConnected, 30);
        await host.restart();
        assert.ok(await isConnected());
        await host.virsh('destroy', 'stub');
        await host.virsh('start', 'stub');
        await until('the service is connected again', isConnected, 60);
        assert.equal(service.log(), []);
        await service.kill();
        await until('the service has ended', async () => !(await isConnected()), 30);
      },
      undefined,
      'qcow2',
    ),
);

/** The source of a migration reports what it has sent; the destination does not, also after libvirt has forgotten the reason. */
examination('a domain that was migrated to this host is refused until it is started here', () =>
  withStubDomain(
    async (ansible, source) =>
      withHypervisor(async (host) => {
        await sealStub(ansible, source);
        const directory = join(source.folder, 'receipts');
        const { options } = await migrationHere(source, 'stub');
        const keep = ['--live', '--persistent', '--undefinesource'];
        await source.virsh('migrate', 'stub', host.uri, ...keep, ...options);
        assert.match(
          JSON.stringify(await examine(host, { directory })),
          /^"the memory of the guest was not made by a boot on this host \(migrated\): shut it down and start it"$/,
        );
        await host.virsh('suspend', 'stub');
        await host.virsh('resume', 'stub');
        assert.match(
          JSON.stringify(await examine(host, { directory })),
          /^"the guest was migrated to this host or restored/,
        );
        await host.virsh('destroy', 'stub');
        await host.virsh('start', 'stub');
        assert.is.not(typeof (await examine(host, { directory })), 'string');
      }),
    undefined,
    'qcow2',
  ),
);

examination.run();
