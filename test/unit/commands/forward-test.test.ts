import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testLogFiles } from '../../../agent/commands/forward-test.ts';
import { SystemError } from '../../../agent/lib/errors.ts';
import { type SystemReader, systemReader } from '../../../agent/system/reader.ts';
import { inDirectories } from '../../harness/temporary.ts';

const test = suite('forward --test: the log files');
const testIn = inDirectories(test);

interface Options {
  uid?: number;
  /** The files that the user of the forwarder may not read. */
  denied?: string[];
  reader?: Partial<SystemReader>;
}

interface Result {
  unreadable: number;
  text: string;
  runs: string[];
}

async function tested(files: string, { uid = 0, denied = [], reader = {} }: Options = {}): Promise<Result> {
  const [runs, texts]: string[][] = [[], []];
  const unreadable = await testLogFiles(
    {
      ...systemReader(),
      environment: () => ({ hostname: 'g', kernel: '3.10', uid, seconds: 1 }),
      readIfPresent: () => undefined,
      run: (program, args) => {
        runs?.push([program, ...args].join(' '));
        return Promise.resolve({ stdout: '', ended: denied.includes(args.at(-1) ?? '') ? 'bad' : 'good' });
      },
      ...reader,
    },
    { FORWARD_FILES: files },
    { stdout: (text) => texts?.push(text), stderr: () => assert.unreachable(), terminal: false },
  );
  return { unreadable, text: (texts ?? []).join(''), runs: runs ?? [] };
}

test('without FORWARD_FILES nothing is printed', async () => {
  assert.equal(await tested(''), { unreadable: 0, text: '', runs: [] });
});

testIn('each file is named with the result; only an unreadable one counts', async (directory) => {
  for (const name of ['a.log', 'b.log', 'c.log.gz']) fs.writeFileSync(`${directory}/${name}`, '');
  fs.mkdirSync(`${directory}/directory.log`);
  fs.symlinkSync('a.log', `${directory}/link.log`);
  const patterns = ['*.log', 'directory.log', 'link.log', 'absent.txt', '*.none'];
  const { unreadable, text } = await tested(patterns.map((each) => `${directory}/${each}`).join(' '), {
    denied: [`${directory}/b.log`],
  });
  const lines = text.split('\n').filter((line) => !line.includes('Permit it'));
  assert.equal(lines, [
    'log files (FORWARD_FILES)',
    `  read      ${directory}/a.log`,
    `  FAILED    ${directory}/b.log: the user immutafs-forward may not read it`,
    `  FAILED    ${directory}/directory.log: not a regular file`,
    `  FAILED    ${directory}/link.log: not a regular file`,
    `  absent    ${directory}/absent.txt`,
    `  none      ${directory}/*.none matches no file`,
    '',
  ]);
  assert.match(text, `setfacl -m u:immutafs-forward:r ${directory}/b.log`);
  assert.is(unreadable, 3);
});

testIn('root tries as the user of the forwarder, and another user as itself', async (directory) => {
  const file = `${directory}/a.log`;
  fs.writeFileSync(file, '');
  assert.equal((await tested(file)).runs, [
    `/usr/sbin/runuser -u immutafs-forward -- /usr/bin/test -r ${file}`,
  ]);
  assert.equal((await tested(file, { uid: 1000 })).runs, [`/usr/bin/test -r ${file}`]);
});

testIn('for the audit trail, prepare is named', async (directory) => {
  const file = `${directory}/audit.log`;
  fs.writeFileSync(file, '');
  const texts: Record<string, string> = {
    ...{ '/run/auditd.pid': '7\n', '/proc/7/comm': 'auditd\n' },
    '/etc/audit/auditd.conf': `log_file = ${file}\n`,
  };
  const readIfPresent: SystemReader['readIfPresent'] = (name) => texts[name];
  const { text } = await tested(file, { denied: [file], reader: { readIfPresent } });
  assert.match(text, 'prepare --only audit --apply');
  assert.not.match(text, 'setfacl');
});

test('a directory that denies access is named with the reason', async () => {
  const stat = () => {
    throw new SystemError('/x/a.log: permission denied', 'EACCES');
  };
  const { unreadable, text } = await tested('/x/a.log', { reader: { stat } });
  assert.match(text, '  FAILED    /x/a.log: permission denied\n');
  assert.is(unreadable, 1);
});

testIn('control characters in a name do not reach the terminal', async (directory) => {
  fs.writeFileSync(`${directory}/a\x1b[31m.log`, '');
  const { text } = await tested(`${directory}/*.log`, { denied: [`${directory}/a\x1b[31m.log`] });
  assert.is(text.includes('\x1b'), false);
});

test.run();
