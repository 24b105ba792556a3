import { moveOutput } from './harness/move-state.ts';
import { runHomeScript } from './harness/home-step.ts';
import { readFileSync } from 'node:fs';
const s = readFileSync(0, 'utf8');
try { if (process.argv[2] === 'home') { const r = runHomeScript(s, Number(process.argv[3] ?? 1024)); console.log(r.stdout, r.stderr); } else console.log(moveOutput(s)); } catch (e) { console.log((e as Error).message.slice(0, 6000)); }
