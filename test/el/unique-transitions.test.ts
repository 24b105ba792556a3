import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { uniqueTransitions } from './unique-transitions.ts';

const rules = suite('uniqueTransitions');

const declarations = `attribute domain;
attribute_role r;
type a_t alias { old_t older_t };
type b_t, domain;
typeattribute a_t domain;
optional {
type c_t, domain;
}
require {
type b_t, a_t;
}`;
/** Returns what remains of the rules. */
const left = (...lines: string[]) =>
  uniqueTransitions([declarations, ...lines].join('\n')).slice(declarations.length + 1);

const cases: Readonly<Record<string, [rules: string[], remaining: string]>> = {
  'the same rule twice': [
    ['type_transition a_t tmp_t:dir x_t "n";', '\ttype_transition a_t tmp_t : dir x_t "n";'],
    'type_transition a_t tmp_t:dir x_t "n";\n',
  ],
  'rules for another name, class, source or object': [
    [
      'type_transition a_t t:dir x_t "n";',
      'type_transition a_t t:dir x_t "m";',
      'type_transition a_t t:file x_t "n";',
      'type_transition b_t t:dir x_t "n";',
      'type_transition a_t u:dir x_t "n";',
    ],
    'type_transition a_t t:dir x_t "n";\ntype_transition a_t t:dir x_t "m";\ntype_transition a_t t:file x_t "n";\ntype_transition b_t t:dir x_t "n";\ntype_transition a_t u:dir x_t "n";',
  ],
  'an attribute after one of its types: the others remain, but not one that is declared in an optional block':
    [
      ['type_transition a_t t:dir x_t "n";', 'type_transition domain t:dir x_t "n";'],
      'type_transition a_t t:dir x_t "n";\ntype_transition {\nb_t\n} t:dir x_t "n";',
    ],
  'one of its types after an attribute': [
    ['type_transition domain t:dir x_t "n";', 'type_transition c_t t:dir x_t "n";'],
    'type_transition domain t:dir x_t "n";\n',
  ],
  'transitions of roles, with an attribute of the programs': [
    [
      'role_transition s_r domain system_r;',
      'role_transition s_r a_t system_r;',
      'role_transition t_r a_t system_r;',
    ],
    'role_transition s_r domain system_r;\n\nrole_transition t_r a_t system_r;',
  ],
  'a transition without a name, and other rules, may repeat': [
    [
      'type_transition a_t t:process x_t;',
      'type_transition a_t t:process x_t;',
      'allow a_t b_t:file read;',
      'allow a_t b_t:file read;',
    ],
    'type_transition a_t t:process x_t;\ntype_transition a_t t:process x_t;\nallow a_t b_t:file read;\nallow a_t b_t:file read;',
  ],
};

for (const [name, [given, remaining]] of Object.entries(cases))
  rules(name, () => assert.is(left(...given), remaining));

rules.run();
