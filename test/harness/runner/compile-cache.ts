/**
 * Loaded before each file of tests. Caches the compiled code of modules, most of which every file loads. The variable
 * NODE_COMPILE_CACHE would also affect the programs that the tests start.
 */
import { enableCompileCache } from 'node:module';
import path from 'node:path';

enableCompileCache(path.join(import.meta.dirname, '../../../build/compile-cache'));
