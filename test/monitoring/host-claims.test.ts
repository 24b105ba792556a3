/**
 * Tests how immutafs-host-metrics checks the answers of a guest agent, which root in the guest can forge, and how it
 * limits the time for answers that never come.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../packaging/build/paths.ts';
import { inTemporaryDirectory } from '../harness/temporary.ts';

const claims = suite('the answers of a guest agent');

/** Decodes answers of guest-file-read with the installed program. @returns the claim, or the message of the error */
function decoded(answers: readonly unknown[]): unknown[] {
  return runInstalled(
    `
import json, sys
from host_metrics.claims import ClaimError, claim_of, decode
def result(answer):
    try:
        return claim_of(decode(answer))
    except ClaimError as error:
        return str(error)
print(json.dumps([result(answer) for answer in json.load(sys.stdin)]))
`,
    answers,
  ) as unknown[];
}

/** Runs a Python program with the modules of the installed program. Its input and output are JSON. */
function runInstalled(program: string, value: unknown): unknown {
  return inTemporaryDirectory((folder) => {
    execFileSync(inRoot('monitoring/host/install'), { env: { ...process.env, DESTDIR: folder } });
    const env = { PYTHONPATH: path.join(folder, 'usr/local/libexec/immutafs-host-metrics') };
    const input = JSON.stringify(value);
    const ran = spawnSync('/usr/bin/python3', ['-B', '-c', program], { input, encoding: 'utf8', env });
    assert.is(ran.status, 0, ran.stderr);
    return JSON.parse(ran.stdout) as unknown;
  });
}

const disk = { name: 'vda', bus: 'virtio-blk', hostReadOnly: true, holds: ['/'] };
const report = {
  verdict: 'sealed',
  mode: 'sealed',
  at: '1970-01-01T00:01:00.089Z',
  disks: [disk],
  other: 'x',
};
const answer = (value: unknown, eof: unknown = true) => ({
  count: 1,
  'buf-b64': Buffer.from(JSON.stringify(value)).toString('base64'),
  eof,
});
const raw = (text: string) => ({ count: 1, 'buf-b64': text, eof: true });

claims('a valid report: only what is compared is taken', () => {
  const partial = { ...disk, hostReadOnly: null, evidence: 'x' };
  assert.equal(decoded([answer(report), answer({ ...report, disks: [partial] })]), [
    { verdict: 'sealed', mode: 'sealed', time: 60, disks: [disk] },
    { verdict: 'sealed', mode: 'sealed', time: 60, disks: [{ ...disk, hostReadOnly: null }] },
  ]);
});

const invalid: [title: string, answer: unknown, said: RegExp][] = [
  ['no object', 7, /returned no data/],
  ['no data', {}, /returned no data/],
  ['data that is no text', { 'buf-b64': 7, eof: true }, /returned no data/],
  ['more data than the limit', answer(report, false), /larger than 1048576 bytes/],
  ['an end of file that is a text', answer(report, 'yes'), /larger than/],
  ['no base64', raw('§'), /not base64/],
  ['base64 with other characters', raw('e30=\n'), /not base64/],
  ['no UTF-8', raw(Buffer.from([0xff, 0xfe]).toString('base64')), /not UTF-8/],
  ['no JSON', raw(Buffer.from('{').toString('base64')), /not JSON/],
  ['nesting', raw(Buffer.from('['.repeat(200_000)).toString('base64')), /not JSON/],
  ['an array', answer([]), /the report is not of type object/],
  ['no verdict', answer({ ...report, verdict: undefined }), /verdict is missing/],
  ['an unknown verdict', answer({ ...report, verdict: 'good' }), /verdict is none of sealed/],
  ['a verdict that is a list', answer({ ...report, verdict: ['sealed'] }), /verdict is none of/],
  ['an unknown mode', answer({ ...report, mode: 'x' }), /mode is none of/],
  ['no disks', answer({ ...report, disks: null }), /disks is not of type array/],
  ['too many disks', answer({ ...report, disks: Array(1001).fill(disk) }), /disks has more than 1000/],
  ['a disk that is a text', answer({ ...report, disks: ['vda'] }), /disks\[0\] is not of type object/],
  [
    'a name with a line feed',
    answer({ ...report, disks: [{ ...disk, name: 'a\n' }] }),
    /disks\[0\].name has an invalid/,
  ],
  [
    'a bus with a space',
    answer({ ...report, disks: [{ ...disk, bus: 'a b' }] }),
    /disks\[0\].bus has an invalid/,
  ],
  [
    'a number for read-only',
    answer({ ...report, disks: [{ ...disk, hostReadOnly: 1 }] }),
    /hostReadOnly is not of type boolean or null/,
  ],
  [
    'a path that is a number',
    answer({ ...report, disks: [{ ...disk, holds: [1] }] }),
    /holds\[0\] is not of type string/,
  ],
  ['no time', answer({ ...report, at: 7 }), /at is not of type string/],
  ['the 31st of February', answer({ ...report, at: '2026-02-31T00:00:00Z' }), /at is not a time/],
  ['a time with other digits', answer({ ...report, at: '２026-02-03T00:00:00Z' }), /at has an invalid value/],
];

claims('each invalid answer is an error that says what is wrong', () => {
  const results = decoded(invalid.map(([, each]) => each));
  for (const [index, [title, , said]] of invalid.entries()) {
    assert.type(results[index], 'string', title);
    assert.match(String(results[index]), said, title);
  }
});

claims('of 900 disks in one report, 20 have a series, the writable ones first', () => {
  const program = `
import json, sys
from host_metrics.metrics import render
domain = {"name": "web1", "running": True, "error": False, "disks": {}, "answers": True, "differences": []}
claim = {"time": 1, "verdict": "sealed", "disks": json.load(sys.stdin)}
print(json.dumps(render([dict(domain, claim=claim)], 1, 1).splitlines()))
`;
  const seriesOf = (disks: unknown) =>
    (runInstalled(program, disks) as string[]).filter((line) =>
      line.startsWith('immutafs_host_guest_disk_read_only{'),
    );
  const disks = (count: number, writable: number) =>
    Array.from({ length: count }, (_, index) => {
      return { ...disk, name: `d${String(index).padStart(3, '0')}`, hostReadOnly: index !== writable };
    });
  const many = seriesOf(disks(900, 850));
  assert.is(many.length, 20);
  assert.is(many[0], 'immutafs_host_guest_disk_read_only{domain="web1",guest_disk="d850"} 0');
  assert.is(seriesOf(disks(20, 20)).length, 20, 'as many as are allowed');
});

/**
 * Runs the installed program with 60 domains, and with a virsh of which some commands never end. @returns the samples,
 * and how long it took, in seconds
 */
function writtenWith(hanging: readonly string[]): { lines: string[]; stderr: string; seconds: number } {
  const program = `
import runpy, sys, time
from ansible_collections.immutafs.agent.plugins.module_utils.programs import Programs
def run_command(self, argv, environ_update):
    command = argv[3]
    if command in hanging:
        time.sleep(max(0, self.deadline - time.monotonic()))
        return 124, "", "no answer within the time limit"
    if command == "list":
        return 0, "".join("00000000-0000-0000-0000-%012d\\n" % number for number in range(60)), ""
    if command == "domstate":
        return 0, "running (booted)\\n", ""
    if command == "dumpxml":
        return 0, "<domain><name>%s</name></domain>" % argv[4], ""
    return 0, "{}", ""
Programs.run_command = run_command
hanging, path, output = sys.argv[1:]
sys.argv = [path, "--output", output, "--timeout", "0.5", "--total-timeout", "2"]
runpy.run_path(path, run_name="__main__")
`;
  return inTemporaryDirectory((folder) => {
    execFileSync(inRoot('monitoring/host/install'), { env: { ...process.env, DESTDIR: folder } });
    const installed = path.join(folder, 'usr/local/libexec/immutafs-host-metrics');
    const output = path.join(fs.realpathSync(folder), 'host.prom');
    const began = performance.now();
    const args = ['-B', '-c', program, hanging.join(), path.join(installed, 'immutafs-host-metrics'), output];
    const ran = spawnSync('/usr/bin/python3', args, { encoding: 'utf8', env: { PYTHONPATH: installed } });
    const seconds = (performance.now() - began) / 1000;
    assert.is(ran.status, 0, ran.stderr);
    return { lines: fs.readFileSync(output, 'utf8').split('\n'), stderr: ran.stderr, seconds };
  });
}

const count = (lines: readonly string[], name: string, value: number) =>
  lines.filter((line) => line.startsWith(`immutafs_host_${name}{`) && line.endsWith(`} ${value}`)).length;

claims(
  '60 guest agents that do not answer: the file lists every domain, and is written within the time limit',
  () => {
    const { lines, stderr, seconds } = writtenWith(['qemu-agent-command']);
    assert.equal([count(lines, 'guest_answers', 0), count(lines, 'domain_error', 0)], [60, 60]);
    assert.match(stderr, 'the guest agent was not queried, because the time for all domains is over');
    // Without the limit for all domains, it takes 4 s.
    assert.ok(seconds < 2.5, `${seconds} s`);
  },
);

claims('60 domains that libvirt does not answer about: each is an error', () => {
  const { lines, seconds } = writtenWith(['dumpxml']);
  assert.equal([count(lines, 'guest_answers', 0), count(lines, 'domain_error', 1)], [0, 60]);
  assert.ok(seconds < 3, `${seconds} s`);
});

claims('60 guest agents that answer at once: each is queried', () => {
  const { lines, stderr } = writtenWith([]);
  assert.is(count(lines, 'guest_answers', 0), 60);
  assert.match(stderr, /guest-file-open returned no result/);
  assert.not.match(stderr, /was not queried/);
});

claims.run();
