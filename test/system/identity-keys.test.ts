/**
 * Tests the keys of immutafs-identity with the programs that use them: SSH certificates with ssh-keygen, sshd and ssh, a key in a
 * token with openssl and SoftHSM, and files of keys that others can read.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../packaging/build/paths.ts';
import { runPython } from '../harness/collection.ts';
import { inTemporaryDirectory, whileTemporaryDirectory } from '../harness/temporary.ts';
import { until } from '../wire/support/until.ts';

const keys = suite('the keys of the host that certifies guests');

/** Runs Python that assigns `result`, in a folder. */
const run = (folder: string, text: string): unknown =>
  runPython(
    `import json, sys, datetime
given = json.load(sys.stdin)
sys.path.insert(0, given["harness"])
from identity import *
from identity_service import keys
folder = given["folder"]
def tried(action):
    try:
        return action() or "done"
    except (OSError, credentials.CredentialError) as error:
        return str(error)
${text}
print(json.dumps(result))`,
    { harness: path.join(inRoot('test'), 'harness'), folder },
  );

// --- SSH ---------------------------------------------------------------------------------------------------------------------

/** Python that makes host keys in a folder, each with a certificate; the file system of a guest has no other files. */
const certificates = `
os.environ["TZ"] = "Pacific/Auckland"
now = datetime.datetime.utcfromtimestamp(int(__import__("time").time()))
minutes = lambda count: datetime.timedelta(minutes=count)
def guest(name, ca, names, begin=-1, end=60, of=None):
    key = new_key()
    line = keys.SshAuthority(folder + "/" + ca, folder).sign(point_of(of or key), names, "spiffe://example.org/guest/1", now + minutes(begin), now + minutes(end))
    for path, text, mode in ((name, pem(key).decode(), 0o600), (name + "-cert.pub", line + "\\n", 0o644)):
        with open(os.open(folder + "/" + path, os.O_WRONLY | os.O_CREAT, mode), "w") as file:
            file.write(text)
    return key
for ca, kind in (("ca", "ed25519"), ("other-ca", "ed25519"), ("rsa-ca", "rsa")):
    ssh_authority(folder, ca, kind)
ssh_authority(folder, "user")
ssh_authority(folder, "own")
web1 = guest("web1", "ca", ["web1.example.com"])
guest("by-rsa", "rsa-ca", ["web1.example.com"])
guest("web2", "ca", ["web2.example.com"])
guest("expired", "ca", ["web1.example.com"], -60, -1)
guest("future", "ca", ["web1.example.com"], 30)
guest("other", "other-ca", ["web1.example.com"])
guest("stolen", "ca", ["web1.example.com"], of=web1)
guest("shared", "ca", ["web1.example.com"])
os.chmod(folder + "/shared", 0o640)
result = tried(lambda: guest("nameless", "ca", []))
`;

/** Writes the configuration of docs/identity.md for a key, and the authorities that the client trusts. */
function configure(folder: string, key: string): void {
  const at = (file: string) => path.join(folder, file);
  mkdirSync('/run/sshd', { recursive: true });
  const trusted = ['ca', 'rsa-ca'].map(
    (name) => `@cert-authority *.example.com ${readFileSync(at(`${name}.pub`), 'utf8')}`,
  );
  writeFileSync(at('known_hosts'), trusted.join(''));
  writeFileSync(
    at('sshd_config'),
    `HostKey ${at('own')}
HostKey ${at(key)}
HostCertificate ${at(`${key}-cert.pub`)}
AuthorizedKeysFile ${at('user.pub')}
StrictModes no
UsePAM no
PermitRootLogin yes
PerSourcePenalties no
`,
  );
}

/**
 * Connects to the sshd of a guest as a client that trusts the authority, and knows no key.
 * @param to how ssh reaches it; by default, an sshd of its own
 * @returns what ssh reports
 */
function connect(folder: string, name: string, to?: string): string {
  const at = (file: string) => path.join(folder, file);
  const options = [
    to ?? `ProxyCommand=/usr/sbin/sshd -i -f ${at('sshd_config')} -E ${at('sshd.log')}`,
    ...[`UserKnownHostsFile=${at('known_hosts')}`, 'GlobalKnownHostsFile=/dev/null', `HostKeyAlias=${name}`],
    ...['StrictHostKeyChecking=yes', 'BatchMode=yes', `IdentityFile=${at('user')}`, 'IdentityAgent=none'],
  ].flatMap((option) => ['-o', option]);
  const done = spawnSync('ssh', ['-F', '/dev/null', ...options, 'root@127.0.0.1', 'echo logged in'], {
    encoding: 'utf8',
  });
  return `${done.stdout}${done.stderr}`;
}

const connections: [title: string, key: string, name: string, result: RegExp][] = [
  ['its own name', 'web1', 'web1.example.com', /^logged in\n$/],
  ['an authority with an RSA key', 'by-rsa', 'web1.example.com', /^logged in\n$/],
  ['the certificate of another guest, for its name', 'web2', 'web2.example.com', /^logged in\n$/],
  ['the name of another guest', 'web2', 'web1.example.com', /^Certificate invalid: name is not a listed/],
  ['a name outside the pattern of the client', 'web1', 'web1.example.net', /Host key verification failed/],
  ['an expired certificate', 'expired', 'web1.example.com', /^Certificate invalid: expired/],
  ['a certificate of the future', 'future', 'web1.example.com', /^Certificate invalid: not yet valid/],
  ['another authority', 'other', 'web1.example.com', /Host key verification failed/],
  [
    'a certificate for the key of another guest',
    'stolen',
    'web1.example.com',
    /Host key verification failed/,
  ],
  ['a key that a group can read', 'shared', 'web1.example.com', /Host key verification failed/],
  ['no key and no certificate yet', 'missing', 'web1.example.com', /Host key verification failed/],
];

keys('SSH: clients that trust the authority accept a guest by its name, and no other', () =>
  inTemporaryDirectory((folder) => {
    assert.is(run(folder, certificates), 'an SSH certificate needs a name');
    for (const [title, key, name, result] of connections) {
      configure(folder, key);
      assert.match(connect(folder, name), result, title);
    }
  }),
);

keys('SSH: an sshd that runs without the key has it, and later a renewed certificate, after a reload', () =>
  whileTemporaryDirectory(async (folder) => {
    run(folder, certificates);
    const at = (file: string) => path.join(folder, file);
    configure(folder, 'later');
    const socket = net.createServer().listen(0, '127.0.0.1');
    await once(socket, 'listening');
    const { port } = socket.address() as net.AddressInfo;
    await new Promise((resolve) => socket.close(resolve));
    const arguments_ = [
      '-D',
      '-e',
      '-f',
      at('sshd_config'),
      '-o',
      'ListenAddress=127.0.0.1',
      '-p',
      `${port}`,
    ];
    const sshd = spawn('/usr/sbin/sshd', arguments_, { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    sshd.stderr.on('data', (data: Buffer) => void (log += data.toString()));
    const listening = (times: number) =>
      until(`sshd listens: ${log}`, () => log.split('Server listening on').length > times, 20);
    const login = () => connect(folder, 'web1.example.com', `Port=${port}`);
    const reload = async (name: string, times: number) => {
      copyFileSync(at(name), at('later'));
      copyFileSync(at(`${name}-cert.pub`), at('later-cert.pub'));
      sshd.kill('SIGHUP');
      await listening(times);
    };
    try {
      await listening(1);
      assert.match(login(), /Host key verification failed/);
      await reload('expired', 2);
      assert.match(login(), /^Certificate invalid: expired/);
      await reload('web1', 3);
      assert.is(login(), 'logged in\n');
    } finally {
      sshd.kill();
    }
  }),
);

keys(
  'SSH: the certificate is one for hosts, with one name, an identity, a serial number and a time in UTC',
  () =>
    inTemporaryDirectory((folder) => {
      run(folder, certificates);
      const shown = spawnSync('ssh-keygen', ['-L', '-f', path.join(folder, 'web1-cert.pub')], {
        encoding: 'utf8',
        env: { ...process.env, TZ: 'UTC' },
      }).stdout;
      const value = (name: string) => new RegExp(`${name}: *(.*)`).exec(shown)?.[1] ?? '';
      assert.match(value('Type'), /^ecdsa-sha2-nistp256-cert-v01@openssh\.com host certificate$/);
      assert.is(value('Key ID'), '"spiffe://example.org/guest/1"');
      assert.match(value('Serial'), /^[1-9]\d{5,}$/);
      assert.match(shown, /Principals: *\n *web1\.example\.com\n *Critical Options: \(none\)/);
      const [, from = '', to = ''] = /from (\S+) to (\S+)/.exec(value('Valid')) ?? [];
      const [begin, end] = [Date.parse(`${from}Z`), Date.parse(`${to}Z`)];
      assert.is(end - begin, 61 * 60 * 1000);
      assert.ok(Math.abs(begin - Date.now() + 60_000) < 60_000, value('Valid'));
    }),
);

// --- Files -------------------------------------------------------------------------------------------------------------------

const files: [title: string, change: string, reason: RegExp][] = [
  ['a file of root with the mode 0600', '', /^done$/],
  ['read-only', 'os.chmod(path, 0o400)', /^done$/],
  ['readable by a group', 'os.chmod(path, 0o640)', /must be a file of root .* has the mode 0640/],
  ['readable by all', 'os.chmod(path, 0o604)', /has the mode 0604/],
  ['executable', 'os.chmod(path, 0o700)', /has the mode 0700/],
  ['another owner', 'os.chown(path, 65534, -1)', /must be a file of root/],
  ['a symbolic link', 'os.rename(path, path + "1"); os.symlink(path + "1", path)', /symbolic links/],
  ['a FIFO', 'os.unlink(path); os.mkfifo(path, 0o600)', /must be a file of root/],
  ['missing', 'os.unlink(path)', /No such file/],
];

keys('a key in a file: only root may read it', () =>
  inTemporaryDirectory((folder) => {
    const calls = files.map(
      ([, change], index) => `
path = folder + "/${index}.key"
with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
    file.write(pem(new_key()))
${change}
result.append(tried(lambda: keys.host_key(path, []) and None))
path = ssh_authority(folder, "${index}")
${change}
result.append(tried(lambda: keys.SshAuthority(path, folder) and None))`,
    );
    const found = run(folder, `result = []${calls.join('')}`) as string[];
    for (const [index, [title, , reason]] of files.entries())
      for (const said of found.slice(2 * index, 2 * index + 2)) assert.match(said, reason, title);
  }),
);

keys('a key of another kind, and an SSH key with a passphrase, are refused at the start', () =>
  inTemporaryDirectory((folder) => {
    const found = run(
      folder,
      `
from cryptography.hazmat.primitives.asymmetric import ed25519
def written(name, data):
    with open(os.open(folder + "/" + name, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(data)
    return folder + "/" + name
subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", folder + "/secret"], check=True)
result = [tried(lambda: keys.host_key(written("a", pem(ec.generate_private_key(ec.SECP384R1()))), [])),
  tried(lambda: keys.host_key(written("b", pem(ed25519.Ed25519PrivateKey.generate())), [])),
  tried(lambda: keys.host_key(written("c", b"x"), [])),
  tried(lambda: keys.SshAuthority(folder + "/secret", folder)),
  tried(lambda: keys.SshAuthority(written("d", b"x"), folder))]`,
    ) as string[];
    for (const said of found.slice(0, 2)) assert.match(said, /is not an EC key on P-256/);
    assert.match(found[2] ?? '', /cannot be read/);
    for (const said of found.slice(3)) assert.match(said, /^ssh-keygen exited with/);
  }),
);

// --- Tokens ------------------------------------------------------------------------------------------------------------------

/** Python that puts the key `host_key` into a token, as an administrator would, and configures openssl. */
const token = `
os.mkdir(folder + "/tokens")
def file(name, text):
    with open(os.open(folder + "/" + name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(text)
    return folder + "/" + name
os.environ["SOFTHSM2_CONF"] = file("softhsm.conf", "directories.tokendir = %s/tokens\\nobjectstore.backend = file\\n" % folder)
pin = file("pin", "1234")
host_key, other_key = new_key(), new_key()
softhsm = lambda *arguments: subprocess.run(["softhsm2-util", *arguments], check=True, stdout=subprocess.DEVNULL)
softhsm("--init-token", "--free", "--label", "kvm1", "--pin", "1234", "--so-pin", "5678")
for number, (label, key) in enumerate((("host", host_key), ("other", other_key))):
    softhsm("--import", file(label, pem(key).decode()), "--token", "kvm1", "--label", label, "--id", "0%d" % number, "--pin", "1234")
os.environ["OPENSSL_CONF"] = file("openssl.cnf", """openssl_conf = main
[main]
providers = providers
[providers]
default = own
pkcs11 = token
[own]
activate = 1
[token]
activate = 1
pkcs11-module-path = /usr/lib/softhsm/libsofthsm2.so
pkcs11-module-token-pin = file:%s
pkcs11-module-quirks = no-deinit
""" % pin)
root_key = new_key()
root = authority(root_key, "root")
host = authority(host_key, "kvm1", root, root_key)
def issued(uri="pkcs11:token=kvm1;object=host;type=private", options=("-provider", "default", "-provider", "pkcs11")):
    issuer = credentials.Issuer(keys.host_key(uri, list(options)), in_pem(host), "example.org", "example.com", 3600)
    guest = {"name": "web1", "uuid": UUID, "sha256": "ab" * 32}
    return issuer.issue(guest, point_of(new_key()), [bytes(32)], NOW)
`;

keys('a key in a token signs certificates that openssl verifies, and statements', () =>
  inTemporaryDirectory((folder) => {
    const found = run(
      folder,
      `${token}
from ansible_collections.immutafs.agent.plugins.module_utils.statement import verify_statement
answer = issued()
file("root.pem", in_pem(root).decode())
file("cert.pem", answer["certificate"])
command = ["/usr/bin/openssl", "verify", "-attime", str(NOW), "-CAfile", folder + "/root.pem", "-untrusted", folder + "/cert.pem", folder + "/cert.pem"]
shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={}).stdout.decode()
own = credentials.certificates_in(answer["certificate"].encode())[0]
result = [shown.replace(folder, ""), verify_statement(answer["statement"], bytes(32), [root], "example.org", NOW)["sub"][-4:], own.serial_number > 0]`,
    );
    assert.equal(found, ['/cert.pem: OK\n', '0001', true]);
  }),
);

const tokens: [title: string, text: string, reason: RegExp][] = [
  ['the key of the certificate', 'issued() and None', /^done$/],
  [
    'another key of the token',
    'issued("pkcs11:token=kvm1;object=other;type=private")',
    /^the certificate of the host is not that of its key/,
  ],
  ['another token', 'issued("pkcs11:token=kvm2;object=host;type=private")', /^openssl exited with/],
  ['an unknown provider', 'issued(options=["-provider", "absent"])', /^openssl exited with/],
  ['the URI of a file', 'issued("file:" + folder + "/host")', /is neither an absolute path nor a URI/],
  ['a relative path', 'issued("host")', /is neither an absolute path nor a URI/],
  ['a PIN in the URI', 'issued("pkcs11:token=kvm1;object=host?pin-value=1234")', /has a PIN \(pin-value\)/],
  ['another PIN', 'file("pin", "9999") and issued()', /^openssl exited with/],
];

keys('a token that cannot sign, or signs with another key, is refused at the start', () =>
  inTemporaryDirectory((folder) => {
    const calls = tokens.map(([, text]) => `tried(lambda: ${text})`);
    const found = run(folder, `${token}result = [${calls.join(',\n')}]`) as string[];
    for (const [index, [title, , reason]] of tokens.entries())
      assert.match(String(found[index]), reason, title);
  }),
);

keys.run();
