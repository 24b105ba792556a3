import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Message } from '../../../../../agent/forward/encode/message.ts';
import { type RelpAnswer, RelpDialogue } from '../../../../../agent/forward/transport/relp/dialogue.ts';
import { RelpError, RelpResponses } from '../../../../../agent/forward/transport/relp/responses.ts';
import { RefusedError } from '../../../../../agent/forward/transport/transport.ts';

const relp = suite('RELP');
const opened =
  '1 rsp 93 200 OK\nrelp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog\n';

function messages(count: number): Message[] {
  return Array.from({ length: count }, (_, n) => ({ text: `m${n}`, cursor: `c${n}` }));
}

function openDialogue(count: number): RelpDialogue {
  const dialogue = new RelpDialogue();
  dialogue.open();
  assert.is(dialogue.receive(opened).opened, 'librelp,1.11.0,http://librelp.adiscon.com');
  dialogue.messages(messages(count));
  return dialogue;
}

relp('frames as the protocol has them, with numbers in a row', () => {
  const dialogue = new RelpDialogue();
  assert.match(
    dialogue.open(),
    /^1 open \d+ relp_version=0\nrelp_software=immutafs-agent,[^\n]+,\ncommands=syslog\n$/,
  );
  dialogue.receive(opened);
  assert.is(dialogue.messages(messages(2)), '2 syslog 2 m0\n3 syslog 2 m1\n');
  assert.is(dialogue.close(), '4 close 0\n');
});

/** Every answer of a run, cut anywhere. */
function receiveAll(dialogue: RelpDialogue, text: string, places: readonly number[]): RelpAnswer[] {
  const ends = [...new Set(places.map((place) => place % (text.length + 1)))].sort((a, b) => a - b);
  return [...ends, text.length].map((end, index) =>
    dialogue.receive(text.slice(index === 0 ? 0 : ends[index - 1], end)),
  );
}

relp('counts what is acknowledged in a row, in any order of answers and wherever they are cut', () => {
  const orders = fc
    .nat(30)
    .chain((count) => fc.shuffledSubarray([...Array(count).keys()], { minLength: 0, maxLength: count }));
  fc.assert(
    fc.property(orders, fc.array(fc.nat(2000), { maxLength: 6 }), fc.boolean(), (order, places, terse) => {
      const dialogue = openDialogue(30);
      const text = order.map((n) => (terse ? `${n + 2} rsp 3 200\n` : `${n + 2} rsp 6 200 OK\n`)).join('');
      const answers = receiveAll(dialogue, text, places);
      assert.is(
        answers.find(({ error }) => error),
        undefined,
      );
      const row = [...Array(31).keys()].findIndex((n) => !order.includes(n));
      assert.is(
        answers.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
        row,
      );
      assert.is(dialogue.inFlight, 30 - row);
    }),
    { numRuns: 3000 },
  );
});

relp('after the last number comes 1', () => {
  const dialogue = new RelpDialogue(999_999_997);
  dialogue.open();
  dialogue.receive('999999997 rsp 6 200 OK\n');
  const sent = ['999999998 syslog 2 m0', '999999999 syslog 2 m1', '1 syslog 2 m2', '2 syslog 2 m3', ''];
  assert.is(dialogue.messages(messages(4)), sent.join('\n'));
  // The last one first, so that the order must be known.
  assert.is(dialogue.receive('2 rsp 6 200 OK\n').acknowledged, 0);
  assert.is(dialogue.receive('999999998 rsp 6 200 OK\n999999999 rsp 6 200 OK\n').acknowledged, 2);
  assert.equal(dialogue.receive('1 rsp 6 200 OK\n'), { acknowledged: 2 });
  assert.match(dialogue.receive('3 rsp 6 200 OK\n').error?.message ?? '', /an answer to nothing: 3/);
});

relp('a refusal names the message, after what was accepted before it', () => {
  const { acknowledged, error } = openDialogue(5).receive(
    '2 rsp 6 200 OK\n3 rsp 6 200 OK\n5 rsp 8 500 nope\n',
  );
  assert.is(acknowledged, 2);
  assert.instance(error, RefusedError);
  assert.equal([(error as RefusedError).first, (error as RefusedError).count], [1, 1]);
});

for (const [what, text, reason] of [
  ['an answer to nothing', '9 rsp 6 200 OK\n', /an answer to nothing: 9/],
  ['an answer twice', '2 rsp 6 200 OK\n2 rsp 6 200 OK\n', /an answer to nothing: 2/],
  ['a command', '2 syslog 2 hi\n', /unexpected/],
  ["the server's goodbye", '0 serverclose 0\n', /closes the session/],
  ['another protocol', 'HTTP/1.1 400 Bad Request\r\n', /not a RELP frame/],
  ['a number too long', '1234567890 rsp', /not a RELP frame/],
  ['a length of 4 GB', '2 rsp 4294967296 ', /not a RELP frame/],
  ['a length of 900 MB', '2 rsp 900000000 ', /900000000 bytes/],
  ['no line feed at the end', '2 rsp 2 20x', /no line feed/],
] as const) {
  relp(`${what} is an error`, () => {
    assert.match(openDialogue(3).receive(text).error?.message ?? '', reason);
  });
}

relp('a refused open is an error', () => {
  const dialogue = new RelpDialogue();
  dialogue.open();
  assert.match(dialogue.receive('1 rsp 10 500 no way\n').error?.message ?? '', /refused to open/);
});

relp('the goodbye is answered without a code', () => {
  const dialogue = openDialogue(1);
  dialogue.receive('2 rsp 6 200 OK\n');
  assert.is(dialogue.close(), '3 close 0\n');
  assert.equal(dialogue.receive('3 rsp 0\n0 serverclose 0\n'), { acknowledged: 0, closed: true });
});

relp('whatever comes is frames, not yet whole, or a RelpError', () => {
  const pieces = fc.constantFrom(
    '1 rsp 6 200 OK\n',
    '2 rsp 0\n',
    '0 serverclose 0\n',
    '3 rsp ',
    '12',
    ' ',
    '\n',
    'rsp',
    '65537',
  );
  const noise = fc.string({ maxLength: 8 });
  let errors = 0;
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, noise), { maxLength: 8 }), (parts) => {
      const responses = new RelpResponses();
      try {
        for (const part of parts) responses.push(part);
      } catch (error) {
        assert.instance(error, RelpError);
        errors += 1;
      }
    }),
    { numRuns: 100_000 },
  );
  assert.ok(errors > 100);
});

relp('whatever comes, no more is acknowledged than was sent, and what is wrong is said, not thrown', () => {
  const piece = fc.oneof(
    fc.nat(8).map((txnr) => `${txnr} rsp 6 200 OK\n`),
    fc.constantFrom(
      '3 rsp 3 200\n',
      '4 rsp 6 500 no\n',
      '0 serverclose 0\n',
      '5 rsp 0\n',
      '6 rs',
      'p 6 200 OK\n',
    ),
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
        assert.is(dialogue.inFlight, 5 - sum);
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

relp('byte by byte it reads the same as at once', () => {
  const text = `${opened}2 rsp 6 200 OK\n3 rsp 0\n4 rsp 0 \n0 serverclose 0\n`;
  const single = new RelpResponses();
  const frames = Array.from(text, (character) => single.push(character)).flat();
  assert.equal(frames, new RelpResponses().push(text));
  assert.is(frames.length, 5);
});

relp.run();
