import fs from 'node:fs';
import path from 'node:path';
import { inRoot } from '../../../packaging/build/paths.ts';
import { runPython } from '../../harness/collection.ts';

/** The directory of a guest with its certificate (docs/identity.md). */
export const identityDirectory = '/run/immutafs/identity';
/** The directory of ca.pem, the CA of the hosts, and of the keys and certificates that were made: NAME.key.pem, NAME.cert.pem. */
export const certificatesFolder = '/run/certificates';

/**
 * Python that writes them. `guest` returns the key. Its arguments: `by`, the root and the host that sign; `begin`, in seconds from
 * now; `life`, in seconds; `of`, the name of the domain.
 */
const program = `import json, sys, time
given = json.load(sys.stdin)
sys.path.insert(0, given["harness"])
from identity import *
now, folder = time.time(), given["folder"]
os.umask(0o077)
def host_of(name):
    root_key, host_key = new_key(), new_key()
    root = authority(root_key, "root", begin=now - 9000)
    return root, host_key, authority(host_key, name, root, root_key, begin=now - 9000)
def write(name, key, certificates):
    for kind, text in (("key", pem(key).decode()), ("cert", certificates)):
        with open("%s/%s.%s.pem" % (folder, name, kind), "w") as file:
            file.write(text)
def guest(name, by, domain="example.org", begin=0, life=given["life"], of="web1", key=None):
    key, (_, host_key, certificate) = key or new_key(), by
    issuer = credentials.Issuer(file_key(host_key), in_pem(certificate), "example.org", domain, life)
    facts = {"name": of, "uuid": UUID, "sha256": "ab" * 32, "firmware": "bios", "seed": None}
    issued = issuer.issue(facts, point_of(key), [bytes(32), credentials.decode("ab" * 32)], now + begin)
    write(name, key, issued["certificate"])
    with open("%s/%s.statement.jwt" % (folder, name), "w") as file:
        file.write(issued["statement"] + "\\n")
    return key
ours = host_of("kvm1")
with open(folder + "/ca.pem", "wb") as file:
    file.write(in_pem(ours[0]))
key = guest("certified", ours)
guest("renewed", ours, life=3600, key=key)
guest("other-guest", ours, of="web2")
guest("without-dns-name", ours, of="My Guest")
# The same names as those of the CA and the host, with other keys.
guest("self-made", host_of("kvm1"))
guest("expired", ours, begin=-7200, life=3600)
guest("of-another-domain", ours, domain="example.net")
with open(folder + "/certified.cert.pem", "rb") as file:
    signer, host = credentials.certificates_in(file.read())
other = new_key()
forged = authority(other, "web1", signer, key, begin=now - 1000)
write("signed-by-a-guest", other, "".join(in_pem(each).decode() for each in (forged, signer, host)))
print(json.dumps(int(now) + given["life"]))`;

/**
 * Makes certificates as the service of the host does, which examines nothing here.
 * @param life how long that of `certified` is valid, in seconds
 * @returns when it expires, in seconds since 1970
 */
export function makeIdentities(life: number): number {
  fs.rmSync(certificatesFolder, { recursive: true, force: true });
  fs.mkdirSync(certificatesFolder);
  const harness = path.join(inRoot('test'), 'harness');
  return runPython(program, { harness, folder: certificatesFolder, life }) as number;
}

/** Gives the guest a certificate. */
export function takeIdentity(name: string): void {
  fs.mkdirSync(identityDirectory, { recursive: true });
  for (const kind of ['key', 'cert']) {
    const to = `${identityDirectory}/${kind}.pem`;
    fs.copyFileSync(`${certificatesFolder}/${name}.${kind}.pem`, `${to}.new`);
    fs.chmodSync(`${to}.new`, kind === 'key' ? 0o600 : 0o644);
    fs.renameSync(`${to}.new`, to);
  }
}
