import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runPython } from '../../harness/collection.ts';

/** Tests what the module seed prints and logs, without a domain (ansible/plugins/modules/seed.py). */
const test = suite('the secrets of a seed');

/** Python that runs the module with the given options, and prints its result and what it logged. */
const program = `import contextlib, io, json, sys
options = json.load(sys.stdin)
sys.argv = ["seed", json.dumps({"ANSIBLE_MODULE_ARGS": dict({"domain": "web1", "target": "sda"}, **options)})]
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.immutafs.agent.plugins.modules import seed

logged = []
AnsibleModule.log = lambda module, text, log_args=None: logged.append("%s %s" % (text, log_args))
seed.is_missing = lambda domain, path: False
key = None if options["hostname"] == "planned" else ("secret key", "ssh-ed25519 AAAA11 web1\\n")
seed.host_key = lambda domain, folder: key

def make_image(domain, found, path, dry):
    if options["hostname"] == "fails":
        raise seed.LibvirtError("%s failed with %s" % (path, found))
    return True

seed.seed.make_image = make_image
output = io.StringIO()
with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
    seed.main()
print(json.dumps({"result": json.loads(output.getvalue()), "logged": logged}))`;

/** Options with short values, which occur in the result, and a secret in each. */
const options = {
  image_directory: '/images/web1',
  user_data: { users: [{ name: 'web1', uid: 1, passwd: 'SECRET-1' }] },
  network_config: { version: 2, wifis: { w0: { 'access-points': { a: { password: 'SECRET-2' } } } } },
};
const run = (hostname: string, more: Record<string, unknown> = {}) =>
  runPython(program, { ...options, hostname, ...more }) as {
    result: Record<string, unknown>;
    logged: string[];
  };

test('the checksum, the path and the host key are readable; the result and the log have no secret', () => {
  const { result, logged } = run('web1');
  assert.match(String(result['checksum']), /^[0-9a-f]{64}$/);
  assert.equal(
    [result['path'], result['host_key']],
    ['/images/web1/web1-seed.iso', 'ssh-ed25519 AAAA11 web1'],
  );
  assert.not.match(JSON.stringify(result), /SECRET|secret key/);
  assert.match(logged.join('\n'), /network_config=NOT_LOGGING_PARAMETER/);
  assert.not.match(logged.join('\n'), /SECRET/);
});

test('without a host key, in check mode, the path is readable', () => {
  const { result } = run('planned');
  assert.is(result['path'], '/images/web1/web1-seed.iso');
  assert.not.match(JSON.stringify(result), /SECRET/);
});

test('an error is masked', () => {
  const { result, logged } = run('fails');
  assert.is(result['failed'], true);
  assert.match(String(result['msg']), / failed with /);
  assert.not.match(JSON.stringify([result, logged]), /SECRET/);
});

test('an error keeps what is not secret: numbers, and values that are also in the name of the guest', () => {
  const { result } = run('fails', {
    domain: 'web2.example',
    image_directory: '/images',
    user_data: { passwd: 'web2.example', other: 'SECRET-1', uid: 2, tty: 'a' },
    network_config: { version: 2, password: 'SECRET-2' },
  });
  assert.match(String(result['msg']), /^\/images\/web2\.example-seed\.iso failed with /);
  assert.not.match(JSON.stringify(result), /SECRET/);
  const { module_args: shown } = result['invocation'] as { module_args: Record<string, unknown> };
  assert.is(shown['domain'], 'web2.example');
  assert.equal(
    [shown['user_data'], shown['network_config'], shown['files']],
    [undefined, undefined, undefined],
  );
});

test.run();
