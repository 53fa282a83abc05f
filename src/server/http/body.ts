/** Reading request bodies, never more of them than allowed and never for longer. */
import type { IncomingMessage } from "node:http";
import { VeneError } from "../../base/errors.ts";
import { type JsonValue, parseJson } from "../../formats/json.ts";
import type { HubLimits } from "../limits.ts";
import { HttpError } from "./http-error.ts";

export type JsonObject = { readonly [key: string]: JsonValue };

/** What carries a body: an Exchange does. */
interface Carrier {
  readonly request: IncomingMessage;
  readonly hub: { readonly limits: HubLimits };
}

/** The body as it comes in. Stopping early leaves the connection open, so that an answer can still be sent. */
export function bodyOf(request: IncomingMessage): AsyncIterable<Buffer> {
  return request.iterator({ destroyOnReturn: false });
}

/** The whole body. Throws HttpError 413 beyond `limit` bytes, 408 when it does not arrive in time, 400 when it breaks off. */
export async function readBody({ request, hub }: Carrier, limit = hub.limits.smallBodyBytes): Promise<Buffer> {
  refuseLonger(request, limit);
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = setTimeout(() => request.destroy(new HttpError(408, "the body took too long")), hub.limits.smallBodyMs);
  try {
    for await (const chunk of bodyOf(request)) {
      size += chunk.length;
      if (size > limit) throw tooLong(limit);
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks);
}

/** Throws HttpError 413 when the request announces more than `limit` bytes. */
export function refuseLonger(request: IncomingMessage, limit: number): void {
  if (Number(request.headers["content-length"] ?? 0) > limit) throw tooLong(limit);
}

function tooLong(limit: number): HttpError {
  return new HttpError(413, `the body is longer than the ${limit} bytes allowed here`);
}

/** A body that is one JSON object; an empty body is an empty object. */
export async function readJsonObject(carrier: Carrier): Promise<JsonObject> {
  const body = await readBody(carrier);
  return body.length === 0 ? {} : jsonObject(body, "the body");
}

/** Throws HttpError 400 unless `text` is a JSON object. */
export function jsonObject(text: string | Uint8Array, name: string): JsonObject {
  return objectOf(jsonValue(text, name), name);
}

function jsonValue(text: string | Uint8Array, name: string): JsonValue {
  try {
    return parseJson(text, { name, maxValues: 1_000_000 });
  } catch (cause) {
    if (cause instanceof VeneError) throw new HttpError(400, cause.message);
    throw cause;
  }
}

/** Throws HttpError 400 unless `value` is an object. */
export function objectOf(value: JsonValue | undefined, name: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new HttpError(400, `${name} is not a JSON object`);
}

/** A field that must be text. Throws HttpError 400. */
export function stringField(object: JsonObject, key: string): string {
  const value = object[key];
  if (typeof value === "string") return value;
  throw new HttpError(400, `${JSON.stringify(key)} is missing or no text`);
}

/** A field that may be absent or null. Throws HttpError 400 when it is there and no text. */
export function optionalString(object: JsonObject, key: string): string | undefined {
  return object[key] === undefined || object[key] === null ? undefined : stringField(object, key);
}

/** A field that must be a whole number from 0. Throws HttpError 400. */
export function countField(object: JsonObject, key: string): number {
  const value = object[key];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new HttpError(400, `${JSON.stringify(key)} is missing or no whole number`);
}

/** A field that must be a list of objects. Throws HttpError 400. */
export function objectsField(object: JsonObject, key: string): readonly JsonObject[] {
  const value = object[key];
  if (!Array.isArray(value)) throw new HttpError(400, `${JSON.stringify(key)} is missing or no list`);
  return value.map((item, index) => objectOf(item, `${key}[${index}]`));
}
