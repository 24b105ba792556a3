import { rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { runPython } from '../../harness/collection.ts';
import { redefine, refusalOf, setReadOnly } from '../libvirt/hypervisor.ts';
import { assertPlayed } from '../libvirt/playbooks.ts';
import { defineStubDomain } from '../libvirt/stub-domain.ts';
import { type Stub, stubSuite } from '../libvirt/stub-suite.ts';

/** Uses stub domains like `host.test.ts`. */
const host = stubSuite('an image that more than one disk has');

/** Which disks the module `domain` names. */
interface Others {
  /** The disks that can write the image of the domain `stub`. */
  writers?: readonly string[];
  /** The disks whose image is based on that of the domain `builder`. */
  sharers?: readonly string[];
}

/** A change on the host, the disks that are named after it, and the reason. */
type Row = readonly [change: () => Promise<unknown>, others: Others, why: string];

async function assertRows({ module }: Stub, rows: readonly Row[]): Promise<void> {
  for (const [change, { writers, sharers }, why] of rows) {
    await change();
    for (const [domain, field, expected] of [
      ['stub', 'writers', writers],
      ['builder', 'sharers', sharers],
    ] as const) {
      if (expected === undefined) continue;
      const { failed, msg, ...found } = await module('domain', { domain, others: true });
      assert.not(failed, msg);
      assert.equal(found[field], expected, `${field}: ${why}`);
    }
  }
}

host('another disk that can write the image is named, and the guest is not sealed', async (stub) => {
  const { ansible, hypervisor, folder, image, virsh } = stub;
  // The link shows that files are compared, not names.
  const [own, link] = [join(folder, 'other/system.raw'), join(folder, 'link')];
  await symlink(image, link);
  const give = (from: string, to: string) => redefine(hypervisor, 'other', (xml) => xml.replace(from, to));
  const [none, other] = [{ writers: [] }, { writers: ['other vda'] }];
  await stub.expect('domain', {}, { writers: null });
  await assertRows(stub, [
    [() => defineStubDomain(hypervisor, 'other'), none, 'two domains with images of their own'],
    [() => give(own, link), other, 'a domain that is shut off'],
  ]);
  const sealing = await ansible.play('seal', { immutafs_boot_required: false, ansible_timeout: 2 });
  assertPlayed(sealing, 2, /^stub: shut off, open\. FAILED: Require that no other disk/);
  assert.match(
    sealing.output,
    /the image of vda can be written by other vda: make these disks read-only, or remove them/,
  );

  await virsh('start', 'other');
  const readOnly = async () => {
    await give(own, link);
    await setReadOnly(hypervisor, 'other', true);
  };
  const home = join(folder, 'stub/home.raw');
  const second = () => redefine(hypervisor, 'stub', (xml) => xml.replace(home, link));
  await assertRows(stub, [
    [() => give(link, own), other, 'until the domain that is running ends'],
    [() => virsh('destroy', 'other'), none, 'it has ended'],
    [readOnly, none, 'a pool of guests has the image, and none can write it'],
    [second, { writers: ['stub vdb'] }, 'a second disk of the same domain'],
  ]);
});

host(
  'a file on which the image is based counts, and so does a storage volume',
  async (stub) => {
    const { hypervisor, folder, image, virsh } = stub;
    const own = join(folder, 'builder');
    const [base, home] = [join(own, 'system.raw'), join(own, 'home.raw')];
    const [none, builder] = [{ writers: [] }, { writers: ['builder vda'] }];
    const based = async () => {
      await rm(image);
      await execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', base, image]);
    };
    const swap = (from: string, to: string) =>
      redefine(hypervisor, 'builder', (xml) => xml.replace(from, to));
    const withoutBase = async () => {
      await swap(home, base);
      await rename(base, `${base}.gone`);
    };
    const withBase = async () => {
      await rename(`${base}.gone`, base);
      await swap(base, home);
    };
    const give = (name: string, type: string, source: string) =>
      redefine(hypervisor, name, (xml) =>
        xml
          .replace(/<disk type='\w+'/, `<disk type='${type}'`)
          .replace(/<source (file|pool)=[^>]*>/, `<source ${source}/>`),
      );
    const giveFile = (name: string, file: string) => give(name, 'file', `file='${file}'`);
    const giveVolume = (name: string, volume: string, pool = 'images') =>
      give(name, 'volume', `pool='${pool}' volume='${volume}'`);
    const definePool = (pool: string, target: string) =>
      virsh('pool-define-as', pool, 'dir', '--target', target);
    const sameVolume = async () => {
      for (const name of ['stub', 'builder']) await giveVolume(name, 'system');
    };
    const defined = async () => {
      await definePool('images', own);
      await giveFile('stub', image);
    };
    const sealed = async () => {
      await definePool('sealed', join(folder, 'stub'));
      await giveVolume('stub', 'system.qcow2', 'sealed');
    };
    await assertRows(stub, [
      [() => defineStubDomain(hypervisor, 'builder'), none, 'an image that is based on nothing'],
      [based, { ...builder, sharers: ['stub vda'] }, 'an image that is based on this one'],
      [() => swap(base, home), { ...none, sharers: ['builder vdb'] }, 'no longer stub vda'],
      [withoutBase, { sharers: [] }, 'the image of another domain that cannot be read is based on nothing'],
      [withBase, {}, 'as before'],
      [sameVolume, builder, 'a pool that libvirt does not have: by the names'],
      [() => giveVolume('builder', 'other'), none, 'another name'],
      [defined, none, 'an image and a volume'],
      [() => giveVolume('builder', 'system.raw'), builder, 'a volume of a pool that is not active'],
      [() => giveVolume('builder', 'home.raw'), none, 'another volume of this pool'],
      [sealed, none, 'volumes of two pools'],
      [() => giveFile('builder', base), builder, 'the file on which a volume is based'],
    ]);
  },
  { systemFormat: 'qcow2' },
);

/** Python that reads domains by the UUIDs of a list, and prints their number or the error. */
const reader = `import json, subprocess, sys
from types import SimpleNamespace
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError
given = json.load(sys.stdin)

def run_command(argv, **options):
    found = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    return found.returncode, found.stdout, found.stderr

class Listed(Domain):
    def list_uuids(self, *which):
        return given["uuids"]

try:
    module = SimpleNamespace(params={"uri": given["uri"], "domain": "stub", "target": "vda"}, run_command=run_command)
    result = len(Listed(module).dump_every_xml())
except LibvirtError as error:
    result = str(error)
print(json.dumps(result))`;

host('a domain that virsh does not find among others is not overlooked', async ({ hypervisor, virsh }) => {
  await defineStubDomain(hypervisor, 'other');
  const uuids = (await virsh('list', '--all', '--uuid')).split('\n').filter((line) => line !== '');
  const read = (...list: string[]) => runPython(reader, { uri: hypervisor.uri, uuids: list });
  assert.is(read(...uuids), 4);
  // The exit code of virsh is that of the last command.
  const [first = '', last = ''] = uuids;
  assert.is(
    read(first, '00000000-0000-4000-8000-000000000000', last),
    'virsh has not printed the XML of each domain: 2 of 3',
  );
});

for (const systemFormat of ['raw', 'qcow2'] as const) {
  host(
    `${systemFormat}: domains run at once from one image that is read-only, and QEMU refuses a writer beside them`,
    async ({ hypervisor, image, virsh }) => {
      await defineStubDomain(hypervisor, 'second', { systemFormat, image, isSealed: true });
      await defineStubDomain(hypervisor, 'writer', { systemFormat, image });
      const readers = ['stub', 'second'];
      for (const name of readers) await virsh('start', name);
      assert.match(await virsh('list', '--name'), /stub\s+second/);
      assert.match(await refusalOf(virsh('start', 'writer')), /Failed to get (shared )?"write" lock/);

      for (const name of readers) await virsh('destroy', name);
      await virsh('start', 'writer');
      assert.match(await refusalOf(virsh('start', 'stub')), /Failed to get shared "write" lock/);
    },
    { systemFormat, isSealed: true },
  );
}

host.run();
