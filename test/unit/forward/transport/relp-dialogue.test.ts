import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type OutgoingMessage, RefusedError } from '../../../../agent/forward/stages.ts';
import { type RelpResult, RelpDialogue } from '../../../../agent/forward/transport/relp.ts';

const relp = suite('RELP dialogue');
const opened =
  '1 rsp 93 200 OK\nrelp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog\n';

function messages(count: number): OutgoingMessage[] {
  return Array.from({ length: count }, (_, n) => ({ text: `m${n}`, cursor: `c${n}` }));
}

function openDialogue(count: number): RelpDialogue {
  const dialogue = new RelpDialogue();
  dialogue.open();
  assert.is(dialogue.receive(opened).opened, 'librelp,1.11.0,http://librelp.adiscon.com');
  dialogue.messages(messages(count));
  return dialogue;
}

relp('numbers its frames consecutively', () => {
  const dialogue = new RelpDialogue();
  assert.match(
    dialogue.open(),
    /^1 open \d+ relp_version=0\nrelp_software=immutafs-agent,[^\n]+,\ncommands=syslog\n$/,
  );
  dialogue.receive(opened);
  assert.is(dialogue.messages(messages(2)), '2 syslog 2 m0\n3 syslog 2 m1\n');
  assert.is(dialogue.close(), '4 close 0\n');
});

/** Returns the results of responses that arrive in chunks cut at the given places. */
function receiveAll(dialogue: RelpDialogue, text: string, places: readonly number[]): RelpResult[] {
  const ends = [...new Set(places.map((place) => place % (text.length + 1)))].sort((a, b) => a - b);
  return [...ends, text.length].map((end, index) =>
    dialogue.receive(text.slice(index === 0 ? 0 : ends[index - 1], end)),
  );
}

relp('counts the acknowledged messages in a row, in any order of responses and wherever they are cut', () => {
  const orders = fc
    .nat(30)
    .chain((count) => fc.shuffledSubarray([...Array(count).keys()], { minLength: 0, maxLength: count }));
  fc.assert(
    fc.property(orders, fc.array(fc.nat(2000), { maxLength: 6 }), fc.boolean(), (order, places, terse) => {
      const dialogue = openDialogue(30);
      const text = order.map((n) => (terse ? `${n + 2} rsp 3 200\n` : `${n + 2} rsp 6 200 OK\n`)).join('');
      const results = receiveAll(dialogue, text, places);
      assert.is(
        results.find(({ error }) => error),
        undefined,
      );
      const row = [...Array(31).keys()].findIndex((n) => !order.includes(n));
      assert.is(
        results.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
        row,
      );
      assert.is(dialogue.unacknowledged, 30 - row);
    }),
    { numRuns: 3000 },
  );
});

relp('continues with 1 after the last transaction number', () => {
  const dialogue = new RelpDialogue(999_999_997);
  dialogue.open();
  dialogue.receive('999999997 rsp 6 200 OK\n');
  const sent = ['999999998 syslog 2 m0', '999999999 syslog 2 m1', '1 syslog 2 m2', '2 syslog 2 m3', ''];
  assert.is(dialogue.messages(messages(4)), sent.join('\n'));
  // The response to the last message arrives first and acknowledges nothing yet.
  assert.is(dialogue.receive('2 rsp 6 200 OK\n').acknowledged, 0);
  assert.is(dialogue.receive('999999998 rsp 6 200 OK\n999999999 rsp 6 200 OK\n').acknowledged, 2);
  assert.equal(dialogue.receive('1 rsp 6 200 OK\n'), { acknowledged: 2 });
  assert.match(
    dialogue.receive('3 rsp 6 200 OK\n').error?.message ?? '',
    /a response to an unknown transaction: 3/,
  );
});

relp('a refusal gives the refused message, and the acknowledgements before it count', () => {
  const { acknowledged, error } = openDialogue(5).receive(
    '2 rsp 6 200 OK\n3 rsp 6 200 OK\n5 rsp 8 500 nope\n',
  );
  assert.is(acknowledged, 2);
  assert.instance(error, RefusedError);
  assert.equal([(error as RefusedError).first, (error as RefusedError).count], [1, 1]);
});

for (const [what, text, reason] of [
  ['a response to an unknown transaction', '9 rsp 6 200 OK\n', /unknown transaction: 9/],
  ['a repeated response', '2 rsp 6 200 OK\n2 rsp 6 200 OK\n', /unknown transaction: 2/],
  ['a command', '2 syslog 2 hi\n', /unexpected command/],
  ['serverclose', '0 serverclose 0\n', /closed the session/],
  ['another protocol', 'HTTP/1.1 400 Bad Request\r\n', /not a RELP frame/],
  ['a transaction number that is too long', '1234567890 rsp', /not a RELP frame/],
  ['a length of 4 GB', '2 rsp 4294967296 ', /not a RELP frame/],
  ['a length of 900 MB', '2 rsp 900000000 ', /900000000 bytes/],
  ['no line feed at the end', '2 rsp 2 20x', /no line feed/],
] as const) {
  relp(`${what} is an error`, () => {
    assert.match(openDialogue(3).receive(text).error?.message ?? '', reason);
  });
}

relp('a refused `open` is an error', () => {
  const dialogue = new RelpDialogue();
  dialogue.open();
  assert.match(dialogue.receive('1 rsp 10 500 no way\n').error?.message ?? '', /refused to open a session/);
});

relp('accepts a response to `close` without a status code', () => {
  const dialogue = openDialogue(1);
  dialogue.receive('2 rsp 6 200 OK\n');
  assert.is(dialogue.close(), '3 close 0\n');
  assert.equal(dialogue.receive('3 rsp 0\n0 serverclose 0\n'), { acknowledged: 0, closed: true });
});

relp('random input acknowledges no more than was sent, and errors are returned, not thrown', () => {
  const piece = fc.oneof(
    fc.nat(8).map((txnr) => `${txnr} rsp 6 200 OK\n`),
    fc.constantFrom('3 rsp 3 200\n', '4 rsp 6 500 no\n', '0 serverclose 0\n'),
    fc.constantFrom('5 rsp 0\n', '6 rs', 'p 6 200 OK\n'),
    fc.string({ maxLength: 5 }),
  );
  let [errors, acknowledgements] = [0, 0];
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const dialogue = openDialogue(5);
      let sum = 0;
      for (const text of pieces) {
        const { acknowledged, error } = dialogue.receive(text);
        sum += acknowledged;
        assert.ok(acknowledged >= 0);
        assert.is(dialogue.unacknowledged, 5 - sum);
        if (error === undefined) continue;
        errors += 1;
        break;
      }
      acknowledgements += sum;
      assert.ok(sum <= 5);
    }),
    { numRuns: 50_000 },
  );
  assert.ok(errors > 100 && acknowledgements > 100, `${errors} errors, ${acknowledgements} acknowledgements`);
});

relp.run();
