import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { repository } from '../harness/cache.ts';
import { dnfTree } from '../harness/dnf.ts';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import { layout, withAgent } from '../harness/scenario.ts';

/**
 * Tests with the real LVM that a version of an image is made in a logical volume (`image_store.py`), in a guest, which plays the
 * host here (see `lvm-snapshot.test.ts`). dd(1) takes the place of qemu-img, which the guest does not have.
 */
const volumes = suite('a version of an image in a logical volume');

const utilities = ['domain_xml.py', 'image_store.py', 'libvirt.py', 'record.py'];

/** Python that prints the result of an expression; `store` is that of the image /dev/host/os. */
const python = (expression: string) => `python3 - <<'END'
import json, subprocess, sys
sys.path.insert(0, "/run/python")
from ansible_collections.immutafs.agent.plugins.module_utils.image_store import store_of
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError

def run(*argv):
    if argv[0].endswith("qemu-img"):
        assert argv[1:3] == ("convert", "-n"), argv
        argv = ("dd", "if=" + argv[-2], "of=" + argv[-1], "bs=1M", "conv=notrunc,fsync", "status=none")
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise LibvirtError(" ".join(done.stderr.split()))
    return done.stdout

try:
    store = store_of(None, "/dev/host/os", "/run/state", run)
    print(json.dumps(${expression}))
except LibvirtError as error:
    print(json.dumps({"error": str(error)}))
END`;

const MiB = 2 ** 20;
const building = 'store.unfinished("web")';
const version = 'store.path("web", "2", "raw")';

volumes(
  'it is as large as the disk, gets its name at the end, and no other volume is overwritten or removed',
  () =>
    withEmptyDisk(192, async (drive) => {
      const options = { layout: layout({ stack: 'partition', fstab: 'installed' }), tree: await dnfTree() };
      await withAgent(options, async (guest) => {
        const boot = await guest.boot({
          disk: 'writable',
          drives: [drive],
          limitSeconds: 600,
          files: Object.fromEntries(
            utilities.map((name) => [name, join(repository, 'ansible/plugins/module_utils', name)]),
          ),
          steps: {
            setUp: `set -e
            modules=/run/python/ansible_collections/immutafs/agent/plugins/module_utils
            mkdir -p $modules && cp "$BOX"/*.py $modules
            pvcreate --quiet ${emptyDevice} && vgcreate --quiet host ${emptyDevice}
            lvcreate --quiet --yes --name os --size 32M host
            head -c 33554432 /dev/zero | tr '\\0' 1 | dd of=/dev/host/os conv=fsync bs=1M status=none`,
            place: python(
              `[store.kind, store.form_of("qcow2"), ${building}, ${version}, store.beside(${version}), store.exists(${version})]`,
            ),
            space: python(`[store.free(${building}), store.needed(1, ${33 * MiB + 1}, 1)]`),
            copy: python(`store.copy("/dev/host/os", "raw", ${building}, ${32 * MiB})`),
            left: python(`[store.exists(${building}), store.free(${building})]`),
            again: python(`store.copy("/dev/host/os", "raw", ${building}, ${32 * MiB})`),
            publish: python(
              `[store.publish(${building}, ${version}), store.exists(${building}), store.exists(${version})]`,
            ),
            same: 'cmp /dev/host/os /dev/host/web-2 && lvs --noheadings -o lv_name,lv_tags host',
            second: python(`store.copy("/dev/host/os", "raw", ${building}, ${32 * MiB})`),
            taken: python(`store.publish(${building}, ${version})`),
            removed: python(
              `[store.remove(${building}), store.remove(${building}), store.exists(${building})]`,
            ),
            inactive: `lvchange --activate n host/web-2
${python(`[store.exists(${version}), store.is_open(${version})]`)}
lvchange --activate y host/web-2`,
            open: `exec 8</dev/host/web-2; ${python(`[store.is_open(${version}), store.remove(${version})]`)}`,
            closed: python(`store.is_open(${version})`),
            opened: `exec 8</dev/host/web-2; ${python(`store.is_open(${version})`)}`,
            foreign: python('store.remove("/dev/host/os")'),
            name: python('store.path("web", "2~rc1", "raw")'),
            full: python(`store.copy("/dev/host/os", "raw", ${building}, ${4096 * MiB})`),
            given: python('[store_of("/dev/host/", "/etc/fstab", "/run/state", run).place]'),
            other: python(`store_of(None, "${emptyDevice}", "/run/state", run)`),
            file: python('[store_of(None, "/etc/fstab", "/run/state", run).place]'),
            end: `${python(`store.remove(${version})`)}
lvs --noheadings -o lv_name host`,
          },
        });
        const text = (name: string) => boot.step(name).stdout;
        const said = (name: string) => JSON.parse(text(name)) as unknown;
        const error = (name: string) => (said(name) as { error?: string }).error ?? text(name);
        assert.is(boot.step('setUp').exit, 0, boot.step('setUp').stderr);
        const [copied, path] = ['/dev/host/web.building', '/dev/host/web-2'];
        assert.equal(said('place'), ['block', 'raw', copied, path, '/run/state/images/host/web-2', false]);
        const [free = 0, needed] = said('space') as number[];
        assert.is(needed, 36 * MiB, 'a whole number of extents');
        assert.ok(free > 140 * MiB && free < 192 * MiB, String(free));
        assert.is(said('copy'), null, text('copy'));
        assert.equal(said('left'), [true, free], 'what an interrupted run has left is free');
        assert.match(error('again'), /already exists/);
        assert.equal(said('publish'), [null, false, true]);
        assert.match(text('same'), /^\s*os\s+web-2\s+immutafs\s*$/);
        assert.is(said('second'), null, text('second'));
        assert.match(error('taken'), /already exists/);
        assert.equal(said('removed'), [null, null, false]);
        assert.equal(said('inactive'), [true, true], text('inactive'));
        assert.match(error('open'), /in use/);
        assert.equal([said('opened'), said('closed')], [true, false]);
        assert.match(error('foreign'), /^the volume host\/os was not made by this collection/);
        assert.match(error('name'), /^'web-2~rc1' cannot be the name of a logical volume/);
        assert.match(error('full'), /insufficient free space/i);
        assert.equal([said('given'), said('file')], [['/dev/host'], ['/etc']]);
        assert.match(error('other'), /is neither a file nor a logical volume: set immutafs_image_directory/);
        assert.match(text('end'), /^null\n\s*os\s*$/);
      });
    }),
);

volumes.run();
