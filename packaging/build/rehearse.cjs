// rehearse.cjs PROGRAM CACHE ARGUMENT…: runs a program as the executable does, and writes the code that V8 compiled to
// CACHE.
const { readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');

const [program, cache, ...args] = process.argv.slice(2);
const script = new Script(readFileSync(program, 'latin1'), { filename: 'immutafs-agent.cjs' });
process.argv = [process.execPath, program, ...args];
process.on('exit', () => {
  writeFileSync(cache, script.createCachedData());
  // Ignore the exit code, which is the program's verdict about the build machine.
  process.exitCode = 0;
});
script.runInThisContext()(require, module, undefined);
