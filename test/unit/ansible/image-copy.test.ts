import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runPython } from '../../harness/collection.ts';

/** Tests who can read the copy of an image while it is made and afterwards (ansible/plugins/modules/builder.py). */
const test = suite('the mode of a copy');

/**
 * Python that makes a copy, and prints its mode after the program that has made it and at the end. In place of qemu-img
 * and cp, it creates a file with the mode that they request. `whole`: whether the module runs, and not only the method
 * that copies.
 */
const program = `import json, os, sys, tempfile
from types import SimpleNamespace
from ansible_collections.immutafs.agent.plugins.module_utils import module
from ansible_collections.immutafs.agent.plugins.module_utils.image_store import Files
from ansible_collections.immutafs.agent.plugins.modules import builder

given = json.load(sys.stdin)
os.umask(0o022)
temporary = tempfile.TemporaryDirectory()
folder = temporary.name
copied, made = os.path.join(folder, "copy"), []

def run(*argv):
    if argv[1] == "info":
        return json.dumps([{"virtual-size": 1, "snapshots": given["snapshots"]}])
    os.close(os.open(argv[-1], os.O_CREAT | os.O_WRONLY, 0o644))
    made.append(argv[0].rpartition("/")[2])
    made.append("%o" % (os.stat(copied).st_mode & 0o777))
    return ""

class Image(builder.Template):
    def __init__(self, path):
        self.path, self.form, self.domain = path, "qcow2", SimpleNamespace(run=run)

source = given["source"]
if source is None:
    source = os.path.join(folder, "source")
    open(source, "w").close()
    os.chmod(source, int(given["mode"], 8))

class Copying:
    def __init__(self, module):
        pass

    def begun(self):
        Image(source).copy_to(Files(folder, run), copied)
        return {}

if given["whole"]:
    builder.Builder = Copying
    module.AnsibleModule = lambda **options: SimpleNamespace(params={"state": "begun"}, exit_json=lambda: None)
    builder.main()
else:
    Copying(None).begun()
print(json.dumps(made + ["%o" % (os.stat(copied).st_mode & 0o777)]))`;

const modes = (given: Record<string, unknown>) =>
  runPython(program, { source: null, mode: '600', snapshots: [], whole: true, ...given });

test('only its owner can read a copy that is being made; then it has the mode of the image', () => {
  for (const mode of ['600', '640']) {
    assert.equal(modes({ mode }), ['cp', '600', mode]);
    assert.equal(modes({ mode, snapshots: [{ name: 's' }] }), ['qemu-img', '600', mode]);
  }
});

// A device that exists on every machine; only whether the image is a regular file makes a difference.
test('only its owner can read a copy of a device in a file', () => {
  assert.equal(modes({ source: '/dev/null' }), ['qemu-img', '600', '600']);
  assert.equal(
    modes({ source: '/dev/null', whole: false }),
    ['qemu-img', '644', '600'],
    'whatever the umask',
  );
});

test.run();
