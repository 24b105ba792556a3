import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runPython } from '../../harness/collection.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

/** Tests what the module `scratch` does after an interruption. host-scratch.test.ts tests it with libvirt. */
const interrupted = suite('the module scratch after an interruption');

/**
 * Python that makes the file as the module does, without libvirt. `ends`: the function of the module after which the
 * process ends without any clean-up, or null. Prints whether the file was missing, or the error.
 */
const program = `import json, os, shutil, sys
from types import SimpleNamespace
from ansible_collections.immutafs.agent.plugins.modules import scratch
folder, ends = json.load(sys.stdin)

def end_after(function):
    def wrapped(*args):
        function(*args)
        print(json.dumps("ended"), flush=True)
        os._exit(0)
    return wrapped

if ends == "link":
    scratch.os.link = end_after(os.link)
elif ends == "record":
    scratch.record.write = end_after(scratch.record.write)
module = SimpleNamespace(params={"directory": folder + "/state", "domain": "web1"})
disk = scratch.Scratch.__new__(scratch.Scratch)
disk.module, disk.machine, disk.link = module, None, "/x"
disk.domain = SimpleNamespace(name="web1", run=lambda *argv: shutil.copyfile(argv[-2], argv[-1]))
disk.wanted = {"path": folder + "/web1-scratch.raw", "format": "raw", "bytes": 4096, "target": "vdz", "serial": "scratch"}
try:
    missing = disk.is_file_missing()
    disk.make() if missing else disk.finish()
    print(json.dumps(missing))
except scratch.LibvirtError as error:
    print(json.dumps(str(error)))`;

const withFolder = (work: (run: (ends?: string) => unknown, folder: string) => void) =>
  inTemporaryDirectory((folder) => work((ends) => runPython(program, [folder, ends ?? null]), folder));
const fileIn = (folder: string) => path.join(folder, 'web1-scratch.raw');
const recordIn = (folder: string) =>
  JSON.parse(readFileSync(path.join(folder, 'state/web1/scratch.json'), 'utf8')) as Record<string, unknown>;

interrupted('without one, the file is made once, and the record has no inode number', () =>
  withFolder((run, folder) => {
    assert.equal([run(), run()], [true, false]);
    assert.is(recordIn(folder)['inode'], undefined);
    assert.equal(readdirSync(folder).sort(), ['state', 'web1-scratch.raw']);
  }),
);

interrupted('after the file got its name: it is recognised, and the record is completed', () =>
  withFolder((run, folder) => {
    assert.is(run('link'), 'ended');
    assert.ok(existsSync(fileIn(folder)));
    assert.is(run(), false);
    assert.is(recordIn(folder)['inode'], undefined);
    assert.is(recordIn(folder)['path'], fileIn(folder));
    rmSync(fileIn(folder));
    assert.is(run(), true, 'a file that was removed is made again');
  }),
);

interrupted('before the file got its name: it is made', () =>
  withFolder((run, folder) => {
    assert.is(run('record'), 'ended');
    assert.not.ok(existsSync(fileIn(folder)));
    assert.equal([run(), run()], [true, false]);
  }),
);

interrupted('another file with the name is refused, whether or not there is a record', () =>
  withFolder((run, folder) => {
    const other = () => writeFileSync(fileIn(folder), 'of an administrator');
    other();
    assert.match(String(run()), /exists, and this module has not made it/);
    rmSync(fileIn(folder));
    run('record');
    other();
    assert.match(String(run()), /exists, and this module has not made it/);
    assert.is(readFileSync(fileIn(folder), 'utf8'), 'of an administrator');
  }),
);

interrupted('a complete record does not depend on the inode number', () =>
  withFolder((run, folder) => {
    run();
    writeFileSync(path.join(folder, 'copy'), 'restored from a backup');
    renameSync(path.join(folder, 'copy'), fileIn(folder));
    assert.is(run(), false);
  }),
);
interrupted.run();
