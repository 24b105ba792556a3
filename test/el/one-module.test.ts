import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { oneModule } from './one-module.ts';

const merged = suite('oneModule');

for (const [title, before, after] of [
  [
    'users come after the rules, and before the constraints',
    'user a roles { r };\nallow a_t b_t:file read;\nuser b roles { r };\nconstrain file read x;',
    'allow a_t b_t:file read;\nuser a roles { r };\nuser b roles { r };\nconstrain file read x;',
  ],
  [
    'what a module requires',
    'require {\n  attribute a;\n  type t;\n}\nallow t t:file read;',
    'allow t t:file read;',
  ],
  ['in one line', 'require { type t; }\nallow t t:file read;', 'allow t t:file read;'],
  [
    'what an optional block requires stays',
    'optional {\n  require {\n    type t;\n  }\n  allow t t:file { read write };\n}',
    'optional {\n  require {\n    type t;\n  }\n  allow t t:file { read write };\n}',
  ],
  [
    'a brace in a comment',
    '# } require {\nrequire {\n# }\ntype t;\n}\nallow t t:x y;',
    '# } require {\n# }\nallow t t:x y;',
  ],
] as const)
  merged(title, () => assert.is(oneModule(before), after));

merged.run();
