import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin, runPython } from '../../harness/collection.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

/** Tests how storage.py reads lvs, and what it then runs. lvm-snapshot.test.ts tests it with LVM itself. */
const storage = suite('snapshots of LVM volumes');

/** Python that reads the lv_attr of a snapshot, and prints the result of each method, and the programs that were run. */
const program = `import json, sys
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError
from ansible_collections.immutafs.agent.plugins.module_utils.storage import Volume

attributes, ran = json.load(sys.stdin), []

def run(*argv):
    ran.append(argv[0].rpartition("/")[2])
    if "vg_name,lv_name,lv_size,vg_free,segtype" in argv:
        return "host|os|1024|2048|linear\\n"
    return "  os|owi-a-s---|1\\n  immutafs-os|%s|5\\n" % attributes

def said(method):
    try:
        return method()
    except LibvirtError as error:
        return str(error)

volume = Volume("/dev/host/os", run)
print(json.dumps({"query": said(volume.query), "restore": said(volume.restore), "ran": sorted(set(ran))}))`;

interface Said {
  query: Record<string, unknown>;
  restore: string;
  ran: string[];
}
const withAttributes = (attributes: string) => runPython(program, attributes) as Said;

for (const attributes of ['swi-I-s---', 'swi-S-s---']) {
  storage(`${attributes}: a snapshot that has overflowed is not restored`, () => {
    const { query, restore, ran } = withAttributes(attributes);
    assert.equal(query, { size: 1024, free: 2048, taken: 5, valid: false, merging: false });
    assert.match(
      restore,
      /^the snapshot host\/immutafs-os has overflowed and cannot be restored: .*lvremove host\/immutafs-os/,
    );
    assert.equal(ran, ['lvs'], 'nothing was changed');
  });
}

for (const attributes of ['Swi-m-s---', 'Swi-M-s---']) {
  storage(`${attributes}: a failed merge is an error at once`, () => {
    const { query, restore, ran } = withAttributes(attributes);
    assert.equal(query, { size: 1024, free: 2048, taken: null, valid: null, merging: true });
    assert.match(restore, /^LVM could not merge host\/immutafs-os: see lvs and dmesg/);
    assert.equal(ran, ['lvs']);
  });
}

for (const [is, uuid] of [
  [true, 'LVM-bGbQtM2zcAAtvJnzGGMsnOAnRPyJVk0R'],
  [false, 'mpath-LVM-3600'],
  [false, null],
] as const) {
  storage(`a device whose UUID in the device mapper is ${uuid} is ${is ? 'a' : 'not a'} logical volume`, () =>
    inTemporaryDirectory((folder) => {
      // The number of /dev/null.
      const device = path.join(folder, '1:3');
      mkdirSync(path.join(device, 'dm'), { recursive: true });
      if (uuid === null) rmSync(path.join(device, 'dm'), { recursive: true });
      else writeFileSync(path.join(device, 'dm/uuid'), `${uuid}\n`);
      assert.is(callPlugin('module_utils.storage', 'is_logical_volume', '/dev/null', folder), is);
    }),
  );
}

storage('a device that does not exist is left to lvs: the volume may be inactive', () =>
  assert.is(callPlugin('module_utils.storage', 'is_logical_volume', '/dev/nowhere/os'), true),
);
storage.run();
