import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../../packaging/build/paths.ts';
import { runPython } from '../../harness/collection.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

/**
 * Tests faults of the host (ansible/roles/identity/files/immutafs-identity): the program itself runs, with a fake of libvirt and
 * QEMU. A fault never gives a certificate that is wrong, and the guest is certified when the fault has ended.
 */
const faults = suite('faults of the service that certifies guests');

const setUp = `import json, signal, socket, sys, time
given = json.load(sys.stdin)
sys.path.insert(0, given["harness"])
from identity import *
from ansible_collections.immutafs.agent.plugins.module_utils.statement import StatementError, key_of, verify_statement
folder = given["folder"]
host = Host(folder)
root_key, host_key, key, server_key = new_key(), new_key(), new_key(), new_key()
root = authority(root_key, "root", begin=time.time() - 1000)
def write(name, data):
    with open(os.open(folder + "/" + name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    return folder + "/" + name
for name in ("state", "run"):
    os.mkdir(folder + "/" + name)
settings = {"trust_domain": "example.org", "directory": folder, "sockets": [folder + "/web1"]}
settings.update(state=folder + "/state", runtime=folder + "/run", ssh_key=ssh_authority(folder), key=write("host.key", pem(host_key)))
settings.update(certificate=write("host.pem", in_pem(authority(host_key, "kvm1", root, root_key, begin=time.time() - 1000))))
write("identity.json", json.dumps(settings).encode())
channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
channel.bind(folder + "/web1")
channel.listen(1)
channel.settimeout(30)
encode = credentials.encode
class Service:
    """The process of the service, started by \`start\` with its arguments, and the end of its channel that QEMU has."""
    def __init__(self, step="", start=()):
        command = [*start, sys.executable, "-B", given["harness"] + "/identity-service.py", folder, step]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.kill()
    def accept(self):
        self.guest = channel.accept()[0]
        self.guest.settimeout(30)
        self.lines = self.guest.makefile("rb")
    def kill(self):
        self.process.kill()
        self.said = self.process.stdout.read().decode()
        self.process.wait()
    def until(self, text):
        """Waits for a line of the service."""
        for line in self.process.stdout:
            if text in line.decode():
                return
        raise AssertionError("the service has ended")
    def say(self, **message):
        self.guest.sendall(json.dumps(message).encode() + b"\\n")
    def hear(self):
        return json.loads(self.lines.readline() or b"null")
    def request(self):
        """Sends a request. Returns its nonce."""
        self.say(type="hello", id="1")
        challenge, nonce = bytes.fromhex(self.hear()["challenge"]), os.urandom(32)
        self.say(type="request", id="1", challenge=challenge.hex(), nonce=encode(nonce), key=encode(point_of(key)),
            proof=encode(prove(key, challenge, nonce)), ssh_key=encode(point_of(server_key)),
            ssh_proof=encode(prove(server_key, challenge, nonce, point_of(key))))
        return nonce
    def certificate(self):
        """Requests a certificate. Returns what it is for, or the reason of the refusal."""
        nonce = self.request()
        answer = self.hear()
        if answer["type"] == "refusal":
            return answer["reason"]
        self.last = (answer["statement"], nonce, [root], "example.org")
        claims = verify_statement(*self.last, time.time())
        own = credentials.certificates_in(answer["certificate"].encode())[0]
        self.end = credentials.ends(own).replace(tzinfo=datetime.timezone.utc).timestamp()
        same = own.public_key().public_numbers() == key.public_key().public_numbers() and key_of(claims) == point_of(key)
        is_ssh = answer["ssh_certificate"].startswith("ecdsa-sha2-nistp256-cert-v01@openssh.com ")
        return claims["immutafs"]["name"] if same and is_ssh else "another key"
`;

const run = (text: string): unknown =>
  inTemporaryDirectory((folder) =>
    runPython(`${setUp}${text}\nprint(json.dumps(result))`, {
      harness: path.join(inRoot('test'), 'harness'),
      folder,
    }),
  );

faults(
  'the host opens the guest: its certificate expires, and none is issued until it is sealed again',
  () => {
    const found = run(`
write("life", b"4")
with Service() as service:
    service.accept()
    result = [service.certificate(), service.end - time.time() <= 4]
    write("open", b"")
    result.append(service.certificate())
    time.sleep(max(0, service.end - time.time()))
    try:
        verify_statement(*service.last, time.time())
    except StatementError as error:
        result.append(str(error))
    result.append(service.certificate())
    os.unlink(folder + "/open")
    result += [service.certificate(), service.end > time.time()]`) as unknown[];
    assert.equal(
      [0, 1, 3, 5, 6].map((index) => found[index]),
      ['web1', true, 'it has expired', 'web1', true],
    );
    for (const index of [2, 4])
      assert.match(String(found[index]), /^the system disk vda is writable: the guest is open/);
  },
);

const steps = ['examine', 'examined', 'clock', 'sign', 'signed', 'answer'];

faults(
  'killed at each step of a request: no answer, or a part of one; the next process certifies the guest',
  () => {
    const found = run(`
result = []
with Service() as first:
    first.accept()
    first.say(type="hello", id="1")
    first.hear()
for step in ${JSON.stringify(steps)}:
    with Service(step) as service:
        service.accept()
        service.request()
        service.until("paused")
        service.kill()
        left = service.lines.read()
    with Service() as service:
        service.accept()
        result.append([step, len(left), b"\\n" in left, os.listdir(folder + "/run"), service.certificate()])`);
    const expected = steps.map((step) => [step, step === 'answer' ? 1000 : 0, false, [], 'web1']);
    assert.equal(found, expected);
  },
);

faults('killed before an answer, and asked with the same challenge: refused', () => {
  const found = run(`
with Service() as service:
    service.accept()
    service.say(type="hello", id="1")
    challenge = service.hear()["challenge"]
nonce = os.urandom(32)
with Service() as service:
    service.accept()
    service.say(type="request", id="1", challenge=challenge, nonce=encode(nonce), key=encode(point_of(key)),
        proof=encode(prove(key, bytes.fromhex(challenge), nonce)))
    result = [service.hear()["reason"], service.certificate()]`) as string[];
  assert.match(found[0] ?? '', /^the challenge is not that of this host/);
  assert.is(found[1], 'web1');
});

faults('a guest that is killed during its request, and started again', () => {
  const found = run(`
with Service("examine") as service:
    service.accept()
    service.request()
    service.until("paused")
    service.guest.close(); service.lines.close()
    write("go", b"")
    service.accept()
    result = service.certificate()`);
  assert.is(found, 'web1');
});

faults('libvirt is restarted: the guest is refused, and certified when libvirt answers', () => {
  const found = run(`
write("no-libvirt", b"")
with Service() as service:
    service.until("libvirt cannot be reached")
    os.unlink(folder + "/no-libvirt")
    service.accept()
    result = [service.certificate()]
    write("no-libvirt", b"")
    result.append(service.certificate())
    os.unlink(folder + "/no-libvirt")
    result.append(service.certificate())`) as string[];
  assert.equal([found[0], found[2]], ['web1', 'web1']);
  assert.match(found[1] ?? '', /^the host could not examine the domain/);
});

/** A file system for the state of the service; its two inodes are those of its root and of a file that fills it. */
const full = String.raw`["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64k,nr_inodes=%d tmpfs "$0" && { cat /dev/zero >"$0/fill" 2>/dev/null; exec "$@"; }', folder + "/state"]`;

faults('the disk of the host is full: renewal goes on; a service that cannot start is started again', () => {
  const found = run(`
start = lambda inodes: [each.replace("%d", str(inodes)) for each in ${full}]
with Service(start=start(3)) as service:
    service.accept()
    result = [service.certificate(), service.certificate()]
service = Service(start=start(2))
result += [service.process.wait(30), service.process.stdout.read().decode()]`) as unknown[];
  assert.equal(found.slice(0, 3), ['web1', 'web1', 1]);
  assert.match(String(found[3]), /^<3>.*No space left on device/);
});

faults('the time is set back: refused, also by a new process, until the time is right', () => {
  const found = run(`
result = []
for ahead in (3600, 20, 3600, 0):
    os.utime(write("state/clock", b""), (time.time() + ahead,) * 2)
    with Service() as service:
        service.accept()
        result.append(service.certificate())`) as string[];
  for (const index of [0, 2])
    assert.match(
      found[index] ?? '',
      /^the clock of the host was set back by 36|^the clock of the host was set back by 359/,
    );
  assert.equal([found[1], found[3]], ['web1', 'web1']);
});

const settings: [title: string, change: string, exit: number, reason: RegExp][] = [
  ['a key that others can read', 'os.chmod(settings["key"], 0o644)', 2, /has the mode 0644/],
  ['no key yet', 'os.unlink(settings["key"])', 2, /No such file/],
  ['an SSH key that others can read', 'os.chmod(settings["ssh_key"], 0o640)', 2, /has the mode 0640/],
  ['an unknown key', 'settings["principals"] = ["web2"]', 2, /unknown key principals/],
  ['another type', 'settings["key_options"] = "-engine"', 2, /key_options is not of type list/],
  [
    'another trust domain',
    'settings["trust_domain"] = "example.net"',
    2,
    /has no URI spiffe:\/\/example\.net/,
  ],
];

faults('settings and keys that cannot be used end the service with a reason', () => {
  const calls = settings.map(
    ([, change]) => `
settings, before = dict(settings), settings
write("host.key", pem(host_key)); os.chmod(settings["key"], 0o600); os.chmod(settings["ssh_key"], 0o600)
${change}
write("identity.json", json.dumps(settings).encode())
service = Service()
result.append([service.process.wait(30), service.process.stdout.read().decode()])
settings = before`,
  );
  const found = run(`result = []${calls.join('')}`) as [number, string][];
  for (const [index, [title, , exit, reason]] of settings.entries()) {
    assert.is(found[index]?.[0], exit, title);
    assert.match(found[index]?.[1] ?? '', reason, title);
  }
});

faults.run();
