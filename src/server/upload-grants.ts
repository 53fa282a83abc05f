/** Unguessable, expiring permissions to send bytes: what an upload URL carries in place of the caller's token. */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { HttpError } from "./http/http-error.ts";

/** What a grant allows: plain JSON. `kind` keeps a grant for one purpose from being used for another. */
export interface Grant {
  readonly kind: string;
  /** The `id` of the repository it is for: one that is deleted and made again is another. */
  readonly repository: string;
  readonly [key: string]: string | number;
}

/** Signs grants with a key of this process: they end with it. Nothing is kept in memory for each. */
export class UploadGrants {
  readonly #key = randomBytes(32);

  /** Letters, digits, `-`, `_` and one dot: fit for URLs. */
  issue(grant: Grant, lifeMs: number): string {
    const body = Buffer.from(JSON.stringify([Date.now() + lifeMs, grant])).toString("base64url");
    return `${body}.${this.#sign(body).toString("base64url")}`;
  }

  /** The grant of a token. Throws HttpError 403 for one that is forged, expired, of another kind or of another process. */
  redeem(token: string, kind: string): Grant {
    const [body = "", signature = ""] = token.split(".", 2);
    const given = Buffer.from(signature, "base64url");
    const expected = this.#sign(body);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw new HttpError(403, "this upload URL was not issued by this server since it started");
    }
    const [expires, grant] = JSON.parse(Buffer.from(body, "base64url").toString()) as [number, Grant];
    if (grant.kind !== kind) throw new HttpError(403, "this upload URL was issued for something else");
    if (Date.now() > expires) throw new HttpError(403, "this upload URL has expired");
    return grant;
  }

  #sign(body: string): Buffer {
    return createHmac("sha256", this.#key).update(body).digest();
  }
}
