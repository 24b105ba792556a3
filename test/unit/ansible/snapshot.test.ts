import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runPython } from '../../harness/collection.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

/** Tests when a kept snapshot is replaced. host-snapshot.test.ts tests the module with libvirt. */
const replaced = suite('a kept snapshot is deleted only if there is space for the new one');

/** Python that runs the module's `present` on a stub of the storage, and prints the storage's calls and the error. */
const program = `import json, sys
from types import SimpleNamespace
from ansible_collections.immutafs.agent.plugins.modules import snapshot
given = json.load(sys.stdin)
calls = []

class Storage:
    removable_online = False
    taken = 5
    def query(self):
        return {"size": 1000, "free": given["free"] + (0 if self.taken else given["held"]), "taken": self.taken, "valid": True, "merging": False}
    def held(self): return given["held"]
    def overflowed(self): return "overflowed"
    def remove(self):
        calls.append("remove")
        self.taken = None
    def create(self, size):
        calls.append("create")
        self.taken = 6

module = SimpleNamespace(params={"size": given["size"]}, check_mode=given["check"])
subject = snapshot.Snapshot.__new__(snapshot.Snapshot)
subject.domain = SimpleNamespace(name="web1", module=module, refuse_unless_off=lambda: None)
subject.params, subject.readonly, subject.storage = module.params, True, Storage()
subject.record = given["record"]
try:
    result = subject.bring("present")["changed"]
except snapshot.LibvirtError as error:
    result = str(error)
print(json.dumps([result, calls]))`;

const present = (free: number, held: number, check = false) =>
  inTemporaryDirectory((folder) => {
    const record = path.join(folder, 'rollback.json');
    execFileSync('sh', ['-c', `echo '{"phase": "kept"}' >"$1"`, 'sh', record]);
    return runPython(program, { free, held, size: '100%', check, record }) as [unknown, string[]];
  });

replaced('enough is free', () => assert.equal(present(1000, 0), [true, ['remove', 'create']]));
replaced('enough is free with what it holds', () =>
  assert.equal(present(400, 600), [true, ['remove', 'create']]),
);
for (const check of [false, true]) {
  replaced(`too little: an error, and it is kept${check ? ' (check mode)' : ''}`, () => {
    const [message, calls] = present(400, 599, check);
    assert.match(String(message), /^a snapshot of web1 needs up to .* free some space/);
    assert.equal(calls, []);
  });
}
replaced.run();

const held = suite('what a snapshot in a qcow2 file holds');
const heldBy = `import json, subprocess, sys
from ansible_collections.immutafs.agent.plugins.module_utils.storage import Qcow2
print(Qcow2(json.load(sys.stdin), lambda *argv: subprocess.run(argv, check=True, stdout=-1, encoding="utf-8").stdout).held())`;
const mebibyte = 2 ** 20;

/** Returns `held` of a file with 16 MiB of data, after these commands. $1 is the file. */
const heldAfter = (commands: string) =>
  inTemporaryDirectory((folder) => {
    const file = path.join(folder, 'a,b.qcow2');
    const script = `qemu-img create -q -f qcow2 "$1" 1G
write() { qemu-io -f qcow2 -c "write -P $2 0 16M" "$1" >/dev/null; }
write "$1" 1
${commands}`;
    execFileSync('sh', ['-e', '-c', script, 'sh', file]);
    return Number(runPython(heldBy, file)) / mebibyte;
  });
held('nothing, if the disk has not changed since', () => {
  assert.is(heldAfter('qemu-img snapshot -c immutafs "$1"'), 0);
});
held('what was overwritten since', () => {
  const found = heldAfter('qemu-img snapshot -c immutafs "$1"; write "$1" 2');
  assert.ok(found > 13 && found <= 16, `${found} MiB`);
});
held.run();
