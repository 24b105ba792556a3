import { agentTree } from './agent.ts';
import { treeWithPackages } from './packages.ts';
import type { Services } from './services.ts';

/** A service that no table knows. It has a file open all the time, and adds to it what is written to /run/acme. */
const acme = `[Service]
StateDirectory=acme
ExecStart=/bin/sh -c 'mkfifo /run/acme; exec cat <>/run/acme >>/var/lib/acme/registrations'
[Install]
WantedBy=multi-user.target
`;

/** Postfix holds every mail, so that the queue needs no network. */
const finish = `
  cat >/etc/systemd/system/acme.service <<'UNIT'\n${acme}UNIT
  systemctl enable acme.service
  printf 'listener 1883 127.0.0.1\\nallow_anonymous true\\npersistence true\\npersistence_location /var/lib/mosquitto/\\n' >/etc/mosquitto/mosquitto.conf
  postconf -e 'defer_transports = smtp local' 'compatibility_level = 3.6' 'inet_interfaces = loopback-only' 'mydestination ='
`;

/** Returns the tree of a guest with `keptServices` and `mosquitto`. */
export async function servicesTree(): Promise<string> {
  const packages = ['postgresql', 'redis-server', 'mosquitto', 'mosquitto-clients', 'postfix'];
  return treeWithPackages('state-tree', await agentTree(), packages, finish);
}

const psql = (sql: string) => `su postgres -c "psql -Atc \\"${sql}\\""`;

export const keptServices = {
  postgresql: {
    add: (record) => psql(`create table if not exists t(x int); insert into t values (${record})`),
    read: psql('select x from t order by x'),
    verify: 'su postgres -c "/usr/lib/postgresql/17/bin/pg_amcheck --all --install-missing --heapallindexed"',
  },
  redis: {
    add: (record) => `redis-cli rpush l ${record} && redis-cli save`,
    read: 'redis-cli lrange l 0 -1',
    verify: 'redis-check-rdb /var/lib/redis/dump.rdb',
  },
  postfix: {
    add: (record) =>
      `echo x | sendmail -f root@example.com r${record}@example.com && postqueue -f; sleep 5; postqueue -p`,
    read: "postqueue -p | grep -o 'r[0-9]@' | tr -dc '0-9\\n' | sort",
    verify: 'postfix check',
  },
  acme: {
    add: (record) =>
      `echo ${record} >/run/acme; sleep 1; grep ${record} /var/lib/acme/registrations && sync /var/lib/acme/registrations`,
    read: 'cat /var/lib/acme/registrations',
  },
} satisfies Services;

/** The retained message is the last record. */
export const mosquitto = {
  add: (record: number) =>
    `mosquitto_pub -r -t t -m ${record} && pkill -USR1 mosquitto && sleep 2 && ls -l /var/lib/mosquitto/mosquitto.db`,
  read: 'timeout 20 mosquitto_sub -t t -C 1 -W 10',
};
