/**
 * A guest with real services whose state is in /var: a database, a key-value store, a message broker, a mail queue, and a
 * private service that no table knows. Before the seal, each of them is named and nothing else; what is kept is there after
 * the seal and after a further reboot; what was accepted is reset.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Step } from '../../../agent/prepare/engine/step.ts';
import { agentTree } from '../harness/agent.ts';
import { persistOnDataDisk, withDataDisk } from '../harness/data-disk.ts';
import { withGuest } from '../harness/guest.ts';
import { treeWithPackages } from '../harness/packages.ts';
import { type Boot, assertSealed, layout, look } from '../harness/scenario.ts';
import { templateOf } from '../harness/template.ts';

const state = suite('state of services');

const acme = `[Service]
Type=oneshot
RemainAfterExit=yes
StateDirectory=acme
ExecStart=/bin/sh -c 'echo registered >>/var/lib/acme/registration'
[Install]
WantedBy=multi-user.target
`;

/** Postfix holds every mail, so that the queue needs no network. */
const finish = `
  printf '%s' "$ACME" >/etc/systemd/system/acme.service
  systemctl enable acme.service
  printf 'listener 1883 127.0.0.1\\nallow_anonymous true\\npersistence true\\npersistence_location /var/lib/mosquitto/\\n' >/etc/mosquitto/mosquitto.conf
  postconf -e 'defer_transports = smtp local' 'compatibility_level = 3.6' 'inet_interfaces = loopback-only' 'mydestination ='
`;

const services = ['postgresql', 'redis-server', 'mosquitto', 'mosquitto-clients', 'postfix'];

async function servicesTree(): Promise<string> {
  return treeWithPackages(
    'state-tree',
    await agentTree(),
    services,
    `ACME=$(cat <<'UNIT'\n${acme}UNIT\n)\n${finish}`,
  );
}

const psql = (sql: string) => `su postgres -c "psql -Atc \\"${sql}\\""`;
const fill = {
  row: psql('create table t(x text); insert into t values (1)'),
  key: 'redis-cli set k 1 && redis-cli save',
  retained: 'mosquitto_pub -r -t t -m 1 && pkill -USR1 mosquitto && sleep 1 && ls -l /var/lib/mosquitto',
  mail: 'echo x | sendmail -f root@example.com someone@example.com && postqueue -f; sleep 2; postqueue -p',
};
const read = {
  row: psql('select count(*) from t'),
  key: 'redis-cli get k',
  retained: 'timeout 10 mosquitto_sub -t t -C 1 -W 5',
  mail: 'postqueue -p',
  registered: 'cat /var/lib/acme/registration',
};
const step = 'immutafs-agent prepare --only state';
const kept = ['/var/lib/postgresql', '/var/spool/postfix', '/var/lib/acme'];

state('five services are named, and nothing else; what is kept survives, and what is accepted is reset', () =>
  withDataDisk(async (drive) => {
    const space = layout({ system: [{ target: '/', filesystem: 'ext4', sizeMiB: 1800, options: 'ro' }] });
    const template = await templateOf(space, await servicesTree());
    const edit = (root: string) => persistOnDataDisk(root, '');
    await withGuest({ template, edit }, async (guest) => {
      const boot = (disk: 'readonly' | 'writable', steps: Record<string, string>) =>
        guest.boot({ disk, steps, drives: [drive], allUnits: true, memoryMiB: 1536, limitSeconds: 900 });

      const open = await boot('writable', {
        ...fill,
        found: `${step} --json`,
        ready: 'immutafs-agent check --ready-to-seal',
        accept: `${step} --apply --yes --accept /var/lib/redis /var/lib/mosquitto`,
        keep: `sed -i 's,^PERSIST=.*,PERSIST=${kept.join(' ')},' /etc/immutafs/immutafs.conf`,
        decided: `${step} --json`,
        lines: 'cat /etc/immutafs/accepted-writes',
      });
      for (const name of Object.keys(fill)) assert.is(open.step(name).exit, 0, describe(open, name));
      assertNamed(open);

      const sealed = await boot('readonly', { ...look, ...read, second: psql('insert into t values (2)') });
      assertKept(sealed, '1');
      assert.is(sealed.step('second').exit, 0, describe(sealed, 'second'));
      assert.is(sealed.step('key').stdout, '1\n', 'the sealed disk has the key of the maintenance boot');

      const again = await boot('readonly', { ...look, ...read });
      assertKept(again, '2');
    });
  }),
);

function describe(boot: Boot, name: string): string {
  const { stdout, stderr } = boot.step(name);
  return `${name}: ${stdout}${stderr}`;
}

function findings(boot: Boot, name: string): Step {
  const { steps } = JSON.parse(boot.step(name).stdout) as { steps: [Step] };
  return steps[0];
}

function assertNamed(open: Boot): void {
  const { stateFindings = [] } = findings(open, 'found');
  assert.equal(
    stateFindings.map(({ service, name }) => service ?? name).toSorted(),
    ['/var/lib/acme', 'mosquitto', 'postfix', 'postgresql', 'redis'],
    describe(open, 'found'),
  );
  const own = stateFindings.find(({ service }) => service === null);
  assert.equal(own?.declaredBy, ['StateDirectory= of acme.service']);
  assert.is(open.step('ready').exit, 1);
  assert.match(open.step('ready').stdout, /state: by hand: .*PostgreSQL/);
  assert.is(findings(open, 'decided').state, 'done', describe(open, 'decided'));
  assert.match(open.step('lines').stdout, /^# \S+, root:\n\/var\/lib\/redis\n\/var\/lib\/mosquitto\n/m);
}

/** @param rows the number of rows of the table */
function assertKept(boot: Boot, rows: string): void {
  assertSealed(boot);
  assert.is(boot.step('row').stdout, `${rows}\n`, describe(boot, 'row'));
  assert.match(boot.step('mail').stdout, /someone@example\.com/);
  assert.match(boot.step('registered').stdout, new RegExp(`^(registered\n){${Number(rows) + 1}}$`));
}

state.run();
