/** `npm run coverage-table`: writes docs/coverage.md. */
import fs from 'node:fs';
import { coverageFile, coverageTable } from './coverage.ts';

fs.writeFileSync(coverageFile, await coverageTable());
