/**
 * A guest with further services whose state is in /var, each in a format of its own: databases in MariaDB, a dynamic zone of
 * BIND with its journal, a directory in OpenLDAP (LMDB), Samba's accounts and secrets (TDB), and the images and volumes of
 * Podman. Before the seal, each of them is named and nothing else. What the move boot has moved is there after the seal and
 * after a further reboot, and each service's own check finds it consistent.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentTree } from '../harness/agent.ts';
import { persistOnDataDisk, withDataDisk } from '../harness/data-disk.ts';
import { withGuest } from '../harness/guest.ts';
import { moveBoot } from '../harness/move-boot.ts';
import { treeWithPackages } from '../harness/packages.ts';
import { type Boot, assertNothingFailed, layout, look } from '../harness/scenario.ts';
import {
  type Services,
  added,
  assertAdded,
  assertKept,
  assertNamed,
  assertRead,
  describe,
  prepareState,
  reads,
  sealedReadings,
} from '../harness/services.ts';
import { templateOf } from '../harness/template.ts';

const stores = suite('state of further services');

const packages = [
  ...['mariadb-server', 'bind9', 'bind9-utils', 'bind9-dnsutils', 'slapd', 'ldap-utils'],
  ...['samba', 'tdb-tools', 'podman'],
];

/** The root password of the directory is known. The servers use the loopback interface, because there is no other. */
const finish = `
  printf '%s\\n' 'zone "example.test" { type primary; file "/var/lib/bind/example.test.zone"; update-policy local; };' >>/etc/bind/named.conf.local
  printf '%s\\n' '$TTL 60' '@ SOA localhost. root.localhost. 1 3600 600 86400 60' '@ NS localhost.' >/var/lib/bind/example.test.zone
  chown bind:bind /var/lib/bind/example.test.zone
  printf 'dn: olcDatabase={1}mdb,cn=config\\nchangetype: modify\\nreplace: olcRootPW\\nolcRootPW: secret\\n' | slapmodify -n 0 -F /etc/ldap/slapd.d
  chown -R openldap:openldap /etc/ldap/slapd.d
  sed -i 's/^\\[global\\]$/&\\ninterfaces = lo\\nbind interfaces only = yes/' /etc/samba/smb.conf
  systemctl disable nmbd.service
`;

const administrator = '-x -H ldapi:/// -D cn=admin,dc=nodomain -w secret';

const services = {
  mariadb: {
    add: (record) =>
      `mariadb -e 'create database if not exists d; create table if not exists d.t(x int); insert into d.t values (${record})'`,
    read: "mariadb -Ne 'select x from d.t order by x'",
    verify: 'mariadb-check --databases d mysql',
  },
  named: {
    add: (record) =>
      `printf 'update add a${record}.example.test 60 A 192.0.2.${record}\\nsend\\n' | nsupdate -l`,
    read: 'for record in 1 2 3; do dig +short @127.0.0.1 a$record.example.test; done | sed s/192.0.2.//',
    verify: 'named-checkzone -j example.test /var/lib/bind/example.test.zone',
  },
  openldap: {
    add: (record) =>
      `printf 'dn: ou=${record},dc=nodomain\\nobjectClass: organizationalUnit\\n' | ldapadd ${administrator}`,
    read: `ldapsearch -LLL ${administrator} -b dc=nodomain '(ou=*)' ou | sed -n 's/^ou: //p' | sort`,
    verify: 'slaptest && slapcat -n 1 | grep "^ou: 1$"',
  },
  // The accounts are those of the users with these IDs.
  winbind: {
    add: (record) => `printf 'x\\nx\\n' | smbpasswd -s -a $(getent passwd ${record} | cut -d: -f1)`,
    read: 'pdbedit -L | cut -d: -f2 | sort',
    verify: `for file in $(find /var/lib/samba -name '*.tdb'); do
        tdbtool $file check | grep 'Database integrity is OK' || exit 1
      done; tdbdump /var/lib/samba/private/secrets.tdb | grep SECRETS/SID && net getlocalsid`,
  },
  podman: {
    add: (record) => `tar -c -C /etc hostname | podman import --quiet - localhost/example:${record} &&
      podman volume create v${record} && echo ${record} >/var/lib/containers/storage/volumes/v${record}/_data/file`,
    read: `podman image ls --format '{{.Tag}}' | sort`,
    verify: 'podman system check && cat /var/lib/containers/storage/volumes/v1/_data/file',
  },
} satisfies Services;

/**
 * Programs may be started from the store of Podman and from the directory of Samba, so that by default only sealed boots
 * mount them. The store of Podman is copied by the first sealed boot, the directory of Samba is moved.
 */
const items = [
  ...['/var/lib/mysql', '/var/lib/bind', '/var/lib/ldap'],
  ...['/var/lib/samba:autostart,maintenance', '/var/lib/containers'],
];

stores('five services are named; what is moved is consistent after the seal and after a further reboot', () =>
  withDataDisk(
    async (drive) => {
      const space = layout({ system: [{ target: '/', filesystem: 'ext4', sizeMiB: 2600, options: 'ro' }] });
      const tree = await treeWithPackages('state-tree', await agentTree(), packages, finish);
      const template = await templateOf(space, tree);
      const edit = (root: string) => persistOnDataDisk(root, '');
      await withGuest({ template, edit }, async (guest) => {
        const options = { drives: [drive], memoryMiB: 2048, limitSeconds: 1500 };
        const boot = (disk: 'readonly' | 'writable', steps: Record<string, string>) =>
          guest.boot({ disk, steps, ...options });

        const open = await boot('writable', {
          started: 'timeout 600 systemctl is-system-running --wait',
          ...added(services, 1),
          found: `${prepareState} --json`,
          move: `${prepareState} --apply --yes --move-state ${items.join(' ')}`,
          ...added(services, 2),
          failed: look.failed,
        });
        assertRecorded(open);
        await moveBoot(guest, options);
        const after = await boot('writable', {
          started: 'timeout 600 systemctl is-system-running --wait',
          ...reads(services),
          mounts: 'findmnt -nr -o TARGET,SOURCE | grep store/var=',
          failed: look.failed,
        });
        assertMoved(after);

        const sealed = await boot('readonly', { ...sealedReadings(services), ...added(services, 3) });
        assertKept(sealed, services, '12');
        assertAdded(sealed, services, 3);

        const again = await boot('readonly', sealedReadings(services));
        assertKept(again, services, '123');
      });
    },
    [],
    600,
  ),
);

function assertRecorded(open: Boot): void {
  assertAdded(open, services, 1);
  assertNamed(open, 'found', Object.keys(services));
  assert.is(open.step('move').exit, 1, describe(open, 'move'));
  assertAdded(open, services, 2);
  assertNothingFailed(open);
}

function assertMoved(boot: Boot): void {
  assertRead(boot, services, '12');
  for (const path of ['mysql', 'bind', 'ldap', 'samba'])
    assert.match(boot.step('mounts').stdout, new RegExp(`/var/lib/${path} `));
  assertNothingFailed(boot);
}

stores.run();
