/** node packaging/build/persist-places.ts: writes units/persist-places.sh. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { persistPlaces } from '../../agent/facts/security/places.ts';

export const persistPlacesFile = path.join(import.meta.dirname, '../../units/persist-places.sh');

if (import.meta.main) writeFileSync(persistPlacesFile, persistPlaces());
