/** Who sends a request: tokens, their roles, and what they may do. */
import { createHash, randomBytes } from "node:crypto";
import { VeneError } from "../base/errors.ts";
import { isRepoPart } from "./names.ts";

/** read: private repositories of one's namespaces; write: change one's namespaces; admin: everything. */
export const roles = ["read", "write", "admin"] as const;
export type Role = (typeof roles)[number];

/** A token that the server accepts. */
export interface HubToken {
  /** `hf_` and at least 16 letters or digits: the official clients insist on the prefix. */
  readonly token: string;
  /** The user, and the namespace that is theirs. */
  readonly name: string;
  readonly role: Role;
  /** More namespaces that the user belongs to. */
  readonly organizations?: readonly string[];
}

export interface Identity {
  /** undefined: anonymous. */
  readonly name: string | undefined;
  readonly role: Role | undefined;
  readonly organizations: readonly string[];
}

export const ANONYMOUS: Identity = { name: undefined, role: undefined, organizations: [] };

/** The caller of a server without tokens, which listens to this machine only. */
const LOCAL: Identity = { name: "local", role: "admin", organizations: [] };

/** A new random token. */
export function mintToken(): string {
  return `hf_${randomBytes(24)
    .toString("base64")
    .replace(/[^A-Za-z0-9]/g, "v")}`;
}

/** The tokens of a server. Only their digests are kept. */
export class Tokens {
  readonly #identities = new Map<string, Identity>();

  /** Throws `server-usage` for a token, name or role that cannot be used. */
  constructor(tokens: readonly HubToken[]) {
    for (const { token, name, role, organizations = [] } of tokens) {
      if (!/^hf_[A-Za-z0-9]{16,200}$/.test(token)) {
        throw new VeneError(
          "server-usage",
          `the token of ${JSON.stringify(name)} is not hf_ and 16 or more letters or digits`,
          {
            hint: "let vene mint one, or choose one that the official clients accept",
          },
        );
      }
      const odd = [name, ...organizations].find((namespace) => !isRepoPart(namespace));
      if (odd !== undefined || !roles.includes(role)) {
        const what = odd === undefined ? `role ${JSON.stringify(role)}` : `name ${JSON.stringify(odd)}`;
        throw new VeneError("server-usage", `a token has the ${what}, which cannot be`, {
          hint: `roles are ${roles.join(", ")}; names are letters, digits, dots, dashes`,
        });
      }
      this.#identities.set(digest(token), { name, role, organizations });
    }
  }

  get none(): boolean {
    return this.#identities.size === 0;
  }

  /** undefined when the token is none of ours. `authorization` is the header. */
  identify(authorization: string | undefined): Identity | undefined {
    if (this.none) return LOCAL;
    if (authorization === undefined) return ANONYMOUS;
    const token = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
    return token === undefined ? undefined : this.#identities.get(digest(token));
  }
}

/** Looking a digest up in a table takes a time that says nothing about the token. */
function digest(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}

export function mayWrite({ role }: Identity): boolean {
  return role === "write" || role === "admin";
}

/** Namespaces of one's own; an admin has all. */
export function belongsTo({ name, role, organizations }: Identity, namespace: string): boolean {
  return role === "admin" || name === namespace || organizations.includes(namespace);
}
