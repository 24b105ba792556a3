import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { blocksOf, commandsIn } from '../harness/pages/blocks.ts';
import { unpack } from '../harness/unpack.ts';
import {
  certificatesFolder,
  identityDirectory,
  makeIdentities,
  takeIdentity,
} from './support/identity-certificates.ts';
import { makeCertificate, serverDirectory } from './support/certificates.ts';
import { type Program, listening, start } from './support/program.ts';
import { until } from './support/until.ts';
import { wireSuite } from './support/wire-suite.ts';

/**
 * Tests nginx, PostgreSQL and a store for secrets as docs/identity.md configures them: they accept guests that a host has
 * certified, and no others, and use a renewed certificate when they are reloaded. test/vm/long/host-identity.test.ts has the units
 * that reload them.
 */
// The network of the suite leads to no archive of packages.
const version = 17;
const unpacked = {
  nginx: unpack('nginx', ['nginx']),
  jwt: unpack('python3-jwt', ['python3-jwt']),
  postgresql: unpack(`postgresql-${version}`, [
    `postgresql-${version}`,
    `postgresql-client-${version}`,
    'libpq5',
  ]),
};
const services = await wireSuite(import.meta.filename, 'services with the certificate of a guest');

const page = 'docs/identity.md';
/** A nonce of a store, as its commands make it. */
const nonce = 'ab'.repeat(32);

/** Returns the block below a heading that begins with a comment. */
function block(heading: string, comment: string): string {
  const found = blocksOf(page).find(
    (each) => each.heading === heading && each.text.startsWith(`# ${comment}`),
  );
  if (found === undefined) throw new Error(`${page}, ${heading}: no block for ${comment}`);
  return found.text;
}

/** Returns the commands below a heading that begin with a word. */
const commands = (heading: string, word: string) =>
  blocksOf(page)
    .filter((each) => each.heading === heading && each.language === 'sh')
    .flatMap(({ text }) => commandsIn(text).map((command) => command.text))
    .filter((text) => text.startsWith(word));

const sh = (text: string) => execa('sh', ['-ec', text], { stdin: 'ignore', reject: false });

/** Writes a block to the path that its first line names. */
function writeBlock(heading: string, file: string): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, block(heading, file));
}

/** Changes a command so that it uses the certificate `name`, or none. */
const asGuest = (command: string, name: string | undefined) =>
  ['cert', 'key'].reduce(
    (text, kind) =>
      name === undefined
        ? text.replace(new RegExp(` (--${kind} |ssl${kind}=)${identityDirectory}/${kind}\\.pem`), '')
        : text.replace(`${identityDirectory}/${kind}.pem`, `${certificatesFolder}/${name}.${kind}.pem`),
    command,
  );

/** Returns the serial number of the certificate that a server has. */
async function serialAt(port: number, ...options: string[]): Promise<string> {
  const { stdout } = await execa('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...options], {
    input: '',
    reject: false,
  });
  return execFileSync('openssl', ['x509', '-noout', '-serial'], { input: stdout }).toString();
}

const serialOf = (name: string) =>
  execFileSync('openssl', [
    'x509',
    '-noout',
    '-serial',
    '-in',
    `${certificatesFolder}/${name}.cert.pem`,
  ]).toString();

const forged = ['self-made', 'expired', 'signed-by-a-guest', undefined];

services.before.each(() => {
  fs.writeFileSync('/etc/hosts', '127.0.0.1 localhost web1.example.org secrets.example.org\n');
  makeIdentities(3600);
  takeIdentity('certified');
  fs.copyFileSync(`${certificatesFolder}/ca.pem`, `${identityDirectory}/ca.pem`);
  fs.chmodSync(`${identityDirectory}/ca.pem`, 0o644);
});

// --- nginx ------------------------------------------------------------------------------------------------------

const nginxProgram = path.join(unpacked.nginx, 'usr/sbin/nginx');

/** Calls `work` with nginx, which has the configurations in /etc/nginx/conf.d. */
async function withNginx(port: number, work: (server: Program) => Promise<void>): Promise<void> {
  const files = ['body', 'fastcgi', 'proxy', 'scgi', 'uwsgi'].map((name) =>
    name === 'body' ? `client_body_temp_path /run/nginx/${name};` : `${name}_temp_path /run/nginx/${name};`,
  );
  fs.mkdirSync('/run/nginx/html', { recursive: true });
  fs.writeFileSync('/run/nginx/html/index.html', 'served\n');
  fs.writeFileSync(
    '/etc/nginx/nginx.conf',
    `daemon off; error_log stderr; pid /run/nginx.pid; events {}\nhttp { access_log off; ${files.join(' ')} include /etc/nginx/conf.d/*.conf; }\n`,
  );
  const options = ['-p', '/run/nginx', '-c', '/etc/nginx/nginx.conf'];
  execFileSync(nginxProgram, ['-t', '-q', ...options]);
  const server = start(nginxProgram, options);
  try {
    await listening(port);
    await work(server);
  } finally {
    // Its workers do not end if it is killed.
    await server.stop();
  }
}

services.before.each(() => fs.rmSync('/etc/nginx', { recursive: true, force: true }));

services(
  'nginx in a guest serves certified guests, and has the renewed certificate after a reload',
  async () => {
    writeBlock('nginx in the guest', '/etc/nginx/conf.d/identity.conf');
    const get = (name: string | undefined) =>
      sh(
        asGuest(
          `curl -sS --cacert ${identityDirectory}/ca.pem --cert ${identityDirectory}/cert.pem --key ${identityDirectory}/key.pem https://web1.example.org/`,
          name,
        ),
      );
    await withNginx(443, async (server) => {
      assert.is((await get('certified')).stdout, 'served');
      assert.is((await get('other-guest')).stdout, 'served');
      for (const name of forged)
        assert.match((await get(name)).stdout, /400 (Bad Request|.*SSL certificate)/, name);
      assert.is(await serialAt(443), serialOf('certified'));
      takeIdentity('renewed');
      assert.is(await serialAt(443), serialOf('certified'));
      server.signal('SIGHUP');
      await until('nginx has reloaded', async () => (await serialAt(443)) === serialOf('renewed'), 30);
    });
  },
);

services('a store for secrets gives each guest its own, and nothing to others', async () => {
  const heading = 'A store for secrets';
  const configuration = '/etc/nginx/conf.d/secrets.conf';
  writeBlock(heading, configuration);
  makeCertificate({ name: 'secrets.example.org', file: `${serverDirectory}/secrets` });
  fs.mkdirSync('/etc/secrets', { recursive: true });
  for (const kind of ['pem', 'key'])
    fs.copyFileSync(`${serverDirectory}/secrets.${kind}`, `/etc/secrets/server.${kind}`);
  fs.copyFileSync(`${serverDirectory}/ca.pem`, '/etc/immutafs/server-ca.pem');
  fs.copyFileSync(`${certificatesFolder}/ca.pem`, '/etc/secrets/ca.pem');
  // /srv is left as it is, because the repository may be there.
  const text = fs.readFileSync(configuration, 'utf8');
  assert.match(text, ' /srv/secrets/');
  fs.writeFileSync(configuration, text.replace(' /srv/secrets/', ' /run/secrets/'));
  for (const name of ['web1', 'web2']) {
    fs.mkdirSync(`/run/secrets/${name}`, { recursive: true });
    fs.writeFileSync(`/run/secrets/${name}/token`, `token of ${name}\n`);
  }
  const [command = ''] = commands(heading, 'curl');
  const token = async (name: string | undefined, file = 'token') => {
    const { stdout, stderr } = await sh(asGuest(command, name).replace(/token$/, `'${file}'`));
    return `${stdout}${stderr}`;
  };
  await withNginx(8443, async () => {
    assert.is(await token('certified'), 'token of web1');
    assert.is(await token('other-guest'), 'token of web2');
    for (const file of ['web1/token', '../web1/token', '%2e%2e/web1/token'])
      assert.match(await token('without-dns-name', file), /40[04]/, file);
    for (const name of forged) assert.match(await token(name), /error: 400/, name);
  });
});

services('a statement for the nonce of a store is verified by a JOSE library and openssl', async () => {
  const heading = 'A store for secrets';
  const folder = '/run/store';
  fs.mkdirSync(folder, { recursive: true });
  fs.copyFileSync(`${certificatesFolder}/ca.pem`, `${folder}/ca.pem`);
  fs.writeFileSync(`${folder}/verify.py`, block(heading, 'verify.py'));
  const [made = '', verify = '', chain = ''] = ['nonce=', 'python3 ', 'openssl verify'].map(
    (word) => commands(heading, word)[0],
  );
  assert.is((await sh(`${made}; printf %s "$nonce" | wc -c`)).stdout.trim(), String(nonce.length));
  const library = path.join(unpacked.jwt, 'usr/lib/python3/dist-packages');
  const judge = async (name: string, expected = nonce) => {
    fs.copyFileSync(`${certificatesFolder}/${name}.statement.jwt`, `${folder}/statement.jwt`);
    const text = `cd ${folder}; nonce=${expected}; export PYTHONPATH=${library}; ${verify} 2>&1; ${chain} 2>&1`;
    const { exitCode, stdout } = await sh(text);
    return exitCode === 0 ? 'verified' : stdout;
  };
  assert.is(await judge('certified'), 'verified');
  assert.match(await judge('certified', 'cd'.repeat(32)), /the statement is for another nonce/);
  assert.match(await judge('self-made'), /verification failed/);
  assert.match(await judge('expired'), /ExpiredSignatureError/);
  const key = JSON.parse(
    (
      await sh(
        `cd ${folder}; cp ${certificatesFolder}/certified.statement.jwt statement.jwt; PYTHONPATH=${library} python3 verify.py statement.jwt ${nonce}`,
      )
    ).stdout,
  ) as { x: string };
  const text = execFileSync('openssl', [
    'pkey',
    '-in',
    `${certificatesFolder}/certified.key.pem`,
    '-pubout',
    '-outform',
    'DER',
  ]);
  assert.is(Buffer.from(key.x, 'base64url').toString('hex'), text.subarray(-64, -32).toString('hex'));
});

// --- PostgreSQL ----------------------------------------------------------------------------------------------------

services(
  'PostgreSQL lets the guest in that it names, and has the renewed certificate after a reload',
  async () => {
    const heading = 'PostgreSQL in the guest';
    // A user that may not enter the folder of the repository runs it.
    const installed = '/run/installed';
    fs.mkdirSync(installed);
    execFileSync('mount', ['--bind', unpacked.postgresql, installed]);
    const env = { LD_LIBRARY_PATH: path.join(installed, 'usr/lib/x86_64-linux-gnu') };
    const program = (name: string) => path.join(installed, `usr/lib/postgresql/${version}/bin`, name);
    fs.writeFileSync('/etc/passwd', 'root:x:0:0::/root:/bin/sh\npostgres:x:26:26::/run/postgresql:/bin/sh\n');
    fs.mkdirSync('/run/postgresql');
    fs.chownSync('/run/postgresql', 26, 26);
    const own = ['--reuid=26', '--regid=26', '--clear-groups', '--'];
    const data = '/run/postgresql/data';
    const initdb = [program('initdb'), '-D', data, '--auth=trust', '--no-locale', '--no-sync'];
    execFileSync('setpriv', [...own, ...initdb], { env, stdio: 'pipe' });
    fs.appendFileSync(`${data}/postgresql.conf`, block(heading, 'postgresql.conf'));
    fs.writeFileSync(`${data}/pg_hba.conf`, `local all postgres trust\n${block(heading, 'pg_hba.conf')}`);
    fs.appendFileSync(`${data}/pg_ident.conf`, block(heading, 'pg_ident.conf'));
    const unit = block(heading, '/etc/systemd/system/postgresql.service.d/identity.conf');
    const [, before = ''] = /^ExecStartPre=\+(.*)$/m.exec(unit) ?? [];
    assert.is((await sh(before)).exitCode, 0);
    const server = start('setpriv', [
      ...own,
      'env',
      `LD_LIBRARY_PATH=${env.LD_LIBRARY_PATH}`,
      program('postgres'),
      '-D',
      data,
    ]);
    const local = (query: string) =>
      execa(program('psql'), ['-h', '/run/postgresql', '-U', 'postgres', '-c', query], {
        env,
        reject: false,
      });
    // It listens before it answers.
    await until('PostgreSQL answers', async () => (await local('select 1')).exitCode === 0, 30);
    const { exitCode, stderr } = await local('create role app login');
    assert.is(exitCode, 0, stderr);
    const [command = ''] = commands(heading, 'psql');
    const connect = async (name: string | undefined) => {
      const text = asGuest(command.replace('db1.', 'web1.'), name).replace(/^psql/, program('psql'));
      const { stdout, stderr } = await execa('sh', ['-ec', `${text} -Atc 'select current_user'`], {
        env,
        reject: false,
      });
      return `${stdout}${stderr}`;
    };
    assert.is(await connect('certified'), 'app');
    assert.match(await connect('other-guest'), /certificate authentication failed for user "app"/);
    assert.match(await connect(undefined), /connection requires a valid client certificate/);
    for (const name of ['self-made', 'expired', 'signed-by-a-guest'])
      assert.match(await connect(name), /SSL error|certificate/, name);
    const serial = () => serialAt(5432, '-starttls', 'postgres');
    assert.is(await serial(), serialOf('certified'));
    takeIdentity('renewed');
    assert.is(await serial(), serialOf('certified'));
    server.signal('SIGHUP');
    await until('PostgreSQL has reloaded', async () => (await serial()) === serialOf('renewed'), 30);
  },
);

services.run();
