/** What the xet codecs throw when a client's bytes are wrong. */
import { HttpError } from "../http/http-error.ts";

export function invalidXet(message: string): HttpError {
  return new HttpError(400, message);
}
