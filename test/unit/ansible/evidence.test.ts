import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runPython } from '../../harness/collection.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

/** Tests how an export is read. ansible-evidence.test.ts tests how it is fetched. */
const reading = suite('reading an export');

/**
 * Python that makes a tar file, reads it, and prints the summary or the error. `endless`: a stub for the tarfile of earlier
 * versions of Python, which returns a member of negative size in a loop (CVE-2025-8194). `slow`: one that never ends.
 */
const program = `import io, itertools, json, sys, tarfile, time
from ansible_collections.immutafs.agent.plugins.plugin_utils import evidence
path, kind = json.load(sys.stdin)

def member(name, size=0):
    found = tarfile.TarInfo(name)
    found.size = size
    return found

class Stub:
    def __init__(self, members): self.members = members
    def __enter__(self): return self.members
    def __exit__(self, *args): pass

if kind == "endless":
    evidence.tarfile.open = lambda *args, **options: Stub(itertools.repeat(member("manifest/1", -512)))
elif kind == "slow":
    evidence.tarfile.open = lambda *args, **options: Stub(itertools.repeat(member("x")))
else:
    with tarfile.open(path, "w") as tar:
        for name, text in (("manifest/1", b'{"path": "/a", "layer": "/", "category": "cron", "change": "added"}'),
                           ("manifest.json", b'{"host": {"bootId": "1"}, "ended": "2026-01-01T00:00:00.000Z", "changes": 1, "bytes": 1}')):
            tar.addfile(member(name, len(text)), io.BytesIO(text))
begin = time.monotonic()
try:
    result = [each["path"] for each in evidence.summary_of(path, 2)["notable"]]
except ValueError as error:
    result = str(error)
print(json.dumps([result, time.monotonic() - begin]))`;

const read = (kind: string) =>
  inTemporaryDirectory((folder) => {
    const file = path.join(folder, 'a.tar');
    writeFileSync(file, '');
    return runPython(program, [file, kind]) as [unknown, number];
  });

reading('a valid export', () => assert.equal(read('valid')[0], ['/a']));
reading('a member of negative size is an error at once', () => {
  const [result, seconds] = read('endless');
  assert.is(result, "the guest did not send a valid export: 'manifest/1' has a negative size");
  assert.ok(seconds < 1, `${seconds} s`);
});
reading('reading has a time limit', () => {
  const [result, seconds] = read('slow');
  assert.match(String(result), /valid export: reading it did not end within the time limit of 2 s$/);
  assert.ok(seconds < 10, `${seconds} s`);
});
reading.run();
