import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RelpError, RelpResponses } from '../../../../../agent/forward/transport/relp-dialogue.ts';

const responses = suite('RELP responses');
const opened =
  '1 rsp 93 200 OK\nrelp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog\n';

responses('random input gives frames, an incomplete frame or a RelpError', () => {
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
      const it = new RelpResponses();
      try {
        for (const part of parts) it.push(part);
      } catch (error) {
        assert.instance(error, RelpError);
        errors += 1;
      }
    }),
    { numRuns: 100_000 },
  );
  assert.ok(errors > 100);
});

responses('byte by byte, reads the same frames as from one chunk', () => {
  const text = `${opened}2 rsp 6 200 OK\n3 rsp 0\n4 rsp 0 \n0 serverclose 0\n`;
  const single = new RelpResponses();
  const frames = Array.from(text, (character) => single.push(character)).flat();
  assert.equal(frames, new RelpResponses().push(text));
  assert.is(frames.length, 5);
});

responses.run();
