import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { repository } from '../harness/cache.ts';
import { dnfTree } from '../harness/dnf.ts';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import { layout, withAgent } from '../harness/scenario.ts';

/**
 * Tests the LVM snapshots of `storage.py` with the real LVM in a guest, which plays the host here, because device-mapper
 * may be missing in the kernel of the machine that runs the tests. The guest has Python because it has dnf.
 */
const lvm = suite('an LVM volume is brought back');

const utilities = ['domain_xml.py', 'libvirt.py', 'module.py', 'record.py', 'storage.py'];

/** Python that prints the result of an expression; `disk` is the volume. */
const python = (expression: string) => `python3 - <<'END'
import json, subprocess, sys, time
sys.path.insert(0, "/run/python")
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError
from ansible_collections.immutafs.agent.plugins.module_utils.storage import storage_of

def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise LibvirtError("%s: %s" % (" ".join(argv), done.stderr))
    return done.stdout

try:
    disk = storage_of({"type": "block", "format": "raw", "path": "/dev/host/os"}, run)
    print(json.dumps(${expression}))
except LibvirtError as error:
    print(json.dumps({"error": str(error)}))
END`;

/** Python that prints how the module `snapshot` brings the snapshot into a state, and whether it has recorded a phase. */
const bring = (state: string) =>
  python('bring(disk)').replace(
    'try:',
    `sys.path.insert(0, "/run/python/modules")
from types import ModuleType, SimpleNamespace
for name in ("ansible", "ansible.module_utils", "ansible.module_utils.basic"):
    sys.modules[name] = ModuleType(name)
sys.modules["ansible.module_utils.basic"].AnsibleModule = None
import snapshot

def bring(storage):
    parameters = {"state": "${state}", "reason": "a check failed", "size": "100%", "directory": "/run/state"}
    domain = SimpleNamespace(module=SimpleNamespace(params=parameters, check_mode=False), name="web1")
    domain.refuse_unless_off = lambda: None
    module = snapshot.Snapshot.__new__(snapshot.Snapshot)
    module.domain, module.params, module.storage, module.readonly = domain, parameters, storage, True
    module.record = "/run/state/web1/rollback.json"
    try:
        return module.bring("${state}")
    except LibvirtError as error:
        import os
        return {"error": str(error), "recorded": os.path.exists(module.record)}

try:`,
  );

const write = (value: string) =>
  `head -c 8388608 /dev/zero | tr '\\0' ${value} | dd of=/dev/host/os conv=fsync bs=1M status=none`;

const first = 'head -c 1 /dev/host/os';

lvm('created, merged, also after its program was killed; deleted; full; refused if it is thin', () =>
  withEmptyDisk(192, async (drive) => {
    const options = { layout: layout({ stack: 'partition', fstab: 'installed' }), tree: await dnfTree() };
    await withAgent(options, async (guest) => {
      const boot = await guest.boot({
        disk: 'writable',
        drives: [drive],
        limitSeconds: 900,
        files: {
          ...Object.fromEntries(
            utilities.map((name) => [name, join(repository, 'ansible/plugins/module_utils', name)]),
          ),
          'snapshot.py': join(repository, 'ansible/plugins/modules/snapshot.py'),
        },
        steps: {
          setUp: `set -e
            modules=/run/python/ansible_collections/immutafs/agent/plugins/module_utils
            mkdir -p $modules /run/python/modules && cp "$BOX"/*.py $modules
            mv $modules/snapshot.py /run/python/modules
            modprobe dm-snapshot
            pvcreate --quiet ${emptyDevice} && vgcreate --quiet host ${emptyDevice}
            lvcreate --quiet --yes --name os --size 32M host`,
          one: write('1'),
          without: python('disk.query()'),
          create: python('disk.create("100%")'),
          two: write('2'),
          found: python('disk.query()'),
          restore: python('disk.restore()'),
          restored: first,
          gone: python('disk.query()'),
          createAgain: python('disk.create("24M")'),
          three: write('3'),
          // In the background, lvconvert only begins the merge, as if it had been killed.
          killed:
            'lvconvert --yes --merge --background --interval 3600 host/immutafs-os; pkill lvconvert; pkill lvm; true',
          merging: python('disk.query()'),
          finish: python('disk.restore()'),
          finished: `${first}; lvs --noheadings -o lv_name host`,
          small: python('disk.create("4M")'),
          four: write('4'),
          full: python('disk.restore()'),
          overflowed: python('disk.query()'),
          fullRestored: bring('restored'),
          fullPresent: bring('present'),
          fullQuery: bring('query'),
          remove: python('disk.remove()'),
          end: python('disk.query()'),
          thin: `lvremove --quiet --yes host/os >&2; lvcreate --quiet --yes --type thin --virtualsize 16M --name os --size 64M --thinpool pool host >&2
            ${python('disk.query()')}`,
        },
      });
      const said = (name: string) => JSON.parse(boot.step(name).stdout) as Record<string, unknown>;
      assert.is(boot.step('setUp').exit, 0, boot.step('setUp').stderr);
      const { free, ...without } = said('without');
      assert.equal(without, { size: 32 * 1024 * 1024, taken: null, valid: null, merging: false });
      assert.ok((free as number) > 100 * 1024 * 1024);
      assert.is(said('create'), null, boot.step('create').stdout);
      const { taken, valid, merging } = said('found');
      assert.equal([typeof taken, valid, merging], ['number', true, false]);
      assert.equal([said('restore'), boot.step('restored').stdout], [null, '1']);
      assert.equal([said('gone').taken, said('gone').merging], [null, false]);

      assert.is(said('createAgain'), null);
      assert.is(said('merging').taken, null, boot.step('killed').stderr);
      assert.is(said('finish'), null);
      assert.match(boot.step('finished').stdout, /^1\s*os\s*$/);

      assert.is(said('small'), null);
      const overflowed =
        /^the snapshot host\/immutafs-os has overflowed and cannot be restored: the update cannot be undone\./;
      assert.match(String(said('full').error), overflowed);
      assert.is(said('overflowed').valid, false);
      for (const name of ['fullRestored', 'fullPresent']) {
        const { error, recorded } = said(name);
        assert.match(String(error), overflowed, boot.step(name).stderr);
        assert.is(recorded, false, 'no rollback has begun');
      }
      assert.is(said('fullQuery').valid, false);
      assert.is(said('remove'), null);
      assert.is(said('end').taken, null);
      assert.match(String(said('thin').error), /^\/dev\/host\/os consists of segments of the type thin; /);
    });
  }),
);

lvm.run();
