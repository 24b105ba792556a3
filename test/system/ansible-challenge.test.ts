import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { inRoot } from '../../packaging/build/paths.ts';
import { type LocalGuest, guestSuite } from '../harness/ansible-guest.ts';

/**
 * Tests that the task file `challenge` of the role `identity` accepts a statement about the challenged guest only: a guest that is not
 * sealed can pass its nonce to another one that is, and print the statement of that guest.
 */
const challenge = guestSuite('the challenge of a guest');

const web1 = '0b6c71de-0000-4000-8000-000000000001';
const web2 = '0b6c71de-0000-4000-8000-000000000002';

/** Stands for immutafs-agent in the guest: prints a genuine statement for the nonce, about the guest in `about.json`. */
const agent = `import json, sys, time
folder = sys.argv[1]
sys.path.insert(0, ${JSON.stringify(path.join(inRoot('test'), 'harness'))})
from identity import *
now, root_key, host_key = time.time(), new_key(), new_key()
root = authority(root_key, "root", begin=now - 1000)
host = authority(host_key, "kvm1", root, root_key, begin=now - 1000)
with open(folder + "/ca.pem", "wb") as file:
    file.write(in_pem(root))
with open(folder + "/about.json") as file:
    facts = dict(json.load(file), sha256="ab" * 32)
issuer = credentials.Issuer(file_key(host_key), in_pem(host), "example.org", "", 3600)
print(issuer.issue(facts, point_of(new_key()), [bytes(32), credentials.decode(sys.argv[-1])], now)["statement"])`;

/** Challenges the guest web1, which answers with a statement about another name and UUID. */
async function challenged(
  guest: LocalGuest,
  about: { name: string; uuid: string },
  inventory: Record<string, unknown> = {},
): Promise<{ exitCode?: number | undefined; all: string }> {
  const [program, script] = [guest.file('bin/immutafs-agent'), guest.file('agent.py')];
  const start = `PYTHONPATH="$HOME/collections" exec /usr/bin/python3 -B "$HOME/agent.py" "$HOME" "$@"`;
  writeFileSync(script, agent);
  writeFileSync(program, `#!/bin/sh\n${start}\n`);
  chmodSync(program, 0o755);
  writeFileSync(guest.file('about.json'), JSON.stringify(about));
  const variables = {
    ...{ immutafs_domain: 'web1', immutafs_identity_trust_domain: 'example.org', ...inventory },
    immutafs_identity_ca: guest.file('ca.pem'),
  };
  const role = { name: 'immutafs.agent.identity', tasks_from: 'challenge' };
  return guest.play(variables, [{ 'ansible.builtin.include_role': role }]);
}

/** Defines the domain web1, which is shut off, with libvirt's test driver. @returns the variables that name its hypervisor */
function hypervisorOf(guest: LocalGuest): Record<string, unknown> {
  const xml = `<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>web1</name><uuid>${web1}</uuid>
<memory>8192</memory><os><type>hvm</type></os><devices><disk type='file' device='disk'><source file='/absent'/>
<target dev='vda' bus='virtio'/><readonly/></disk></devices><test:runstate>5</test:runstate></domain>`;
  writeFileSync(guest.file('web1.xml'), xml);
  writeFileSync(guest.file('node.xml'), `<node><domain file='${guest.file('web1.xml')}'/></node>`);
  return {
    ...{ immutafs_hypervisor: 'localhost', immutafs_disk: 'vda' },
    immutafs_uri: `test://${guest.file('node.xml')}`,
  };
}

challenge('without a hypervisor in the inventory: only the name is compared', async ({ guest }) => {
  const own = await challenged(guest, { name: 'web1', uuid: web2 });
  assert.is(own.exitCode, 0, own.all);
  const relayed = await challenged(guest, { name: 'web2', uuid: web2 });
  assert.is(relayed.exitCode, 2, relayed.all);
  assert.match(relayed.all, /the statement is not accepted: it is about the guest web2, not web1/);
});

challenge('with a hypervisor, also the UUID, because another host can have the name', async ({ guest }) => {
  const inventory = hypervisorOf(guest);
  const own = await challenged(guest, { name: 'web1', uuid: web1 }, inventory);
  assert.is(own.exitCode, 0, own.all);
  const relayed = await challenged(guest, { name: 'web1', uuid: web2 }, inventory);
  assert.is(relayed.exitCode, 2, relayed.all);
  assert.match(
    relayed.all,
    new RegExp(`not accepted: it is about the guest with the UUID ${web2}, not ${web1}`),
  );
});

challenge.run();
