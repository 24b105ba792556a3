import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runPython } from '../../harness/collection.ts';

/** Tests that no domain is missing in what virsh prints for many. host-writers.test.ts tests it with libvirt. */
const reading = suite('the XML of every domain');

/**
 * Python that reads the domains A, B and C with a virsh that prints only some of them and exits with code 0, and prints the
 * names or the error, and how often virsh printed domains. `given`: what each of these calls prints; the last also after it.
 */
const program = `import json, sys
from types import SimpleNamespace
from xml.etree import ElementTree
from ansible_collections.immutafs.agent.plugins.module_utils import libvirt
given, calls = json.load(sys.stdin), []
libvirt.INTERVAL = 0

def run_command(argv, **options):
    if argv[3] == "list":
        return 0, "A\\nB\\nC\\n\\n", ""
    names = given[min(len(calls), len(given) - 1)]
    calls.append(argv[3])
    texts = ["<domain type='kvm'>\\n  <name>%s</name>\\n  <uuid>%s</uuid>\\n</domain>\\n\\n" % (name, name) for name in names]
    return 0, "".join(texts), "error: failed to connect to the hypervisor"

module = SimpleNamespace(params={"uri": "qemu:///system", "domain": "A", "target": "vda"}, run_command=run_command)
try:
    result = [ElementTree.fromstring(text).findtext("name") for text in libvirt.Domain(module).every_xml()]
except libvirt.LibvirtError as error:
    result = str(error)
print(json.dumps([result, len(calls)]))`;

const read = (...printed: readonly string[]) => runPython(program, printed) as [string[] | string, number];

reading('virsh prints each domain', () => {
  assert.equal(read('ABC'), [['A', 'B', 'C', 'A', 'B', 'C'], 2]);
});

reading('virsh does not print one, and exits with code 0: all are read again', () => {
  assert.equal(read('AC', 'ABC'), [['A', 'B', 'C', 'A', 'B', 'C'], 3]);
  assert.equal(read('ABC', 'AB', 'ABC'), [['A', 'B', 'C', 'A', 'B', 'C'], 4], 'the XML of the run');
});

reading('a domain is missing in each attempt: an error', () => {
  const message = 'virsh has not printed the XML of each domain: 2 of 3';
  assert.equal(read('AC'), [message, 3]);
  assert.equal(read('ABC', 'AC', 'AB'), [message, 4]);
});

reading.run();
