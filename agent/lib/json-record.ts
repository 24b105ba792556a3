import { type GenericSchema, type InferOutput, getDotPath, safeParse } from 'valibot';
import { parseJson } from './format.ts';

/**
 * Parses a JSON file and compares it with a schema. Fields that the schema does not name are left out.
 *
 * @param file the path of the file, for the error message, which does not quote the content (`parseJson`)
 * @throws Error that names the first field which is missing or invalid
 */
export function parseRecord<Schema extends GenericSchema>(
  schema: Schema,
  text: string,
  file: string,
): InferOutput<Schema> {
  const { success, output, issues } = safeParse(schema, parseJson(text, file), { abortEarly: true });
  if (success) return output;
  throw new Error(`${file}: ${getDotPath(issues[0]) ?? 'the object'} is missing or invalid`);
}
