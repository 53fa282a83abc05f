/** The file that says which tokens a server accepts. */
import { VeneError } from "../base/errors.ts";
import { parseJson } from "../formats/json.ts";
import type { HubToken, Role } from "./identity.ts";

/**
 * Reads `{ "tokens": [{ "token", "name", "role", "organizations"? }] }`. Throws `json-invalid`, or `server-usage` when it is
 * something else; what the tokens themselves may be is checked by `startHub`. `name`: what messages call the file.
 */
export function parseHubTokens(content: Uint8Array | string, name: string): readonly HubToken[] {
  const file = parseJson(content, { name });
  const listed = isObject(file) && Object.keys(file).join() === "tokens" ? file["tokens"] : undefined;
  if (!Array.isArray(listed) || listed.length === 0)
    throw fault(name, 'is not { "tokens": [...] } with a token at least');
  return listed.map((entry, index) => {
    const problem = `tokens[${index}] is not { token, name, role, organizations? }`;
    if (!isObject(entry)) throw fault(name, problem);
    const { token, name: user, role, organizations = [], ...unknown } = entry;
    const texts = [token, user, role];
    if (Object.keys(unknown).length > 0 || !texts.every(isText)) throw fault(name, problem);
    if (!Array.isArray(organizations) || !organizations.every(isText)) throw fault(name, problem);
    return { token: token as string, name: user as string, role: role as Role, organizations };
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function fault(name: string, problem: string): VeneError {
  return new VeneError("server-usage", `${name}: ${problem}`, {
    hint: 'write { "tokens": [{ "token": "hf_...", "name": "ann", "role": "write" }] }',
    details: { name },
  });
}
