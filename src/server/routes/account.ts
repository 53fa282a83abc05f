/** Who am I, and whether a card's front matter is right. */
import { notSignedIn } from "../access.ts";
import { readCard } from "../card.ts";
import { json } from "../http/answer.ts";
import { readJsonObject, stringField } from "../http/body.ts";
import type { Exchange, Route } from "../route.ts";

export const accountRoutes: readonly Route[] = [
  { method: "GET", pattern: "/api/whoami-v2", access: "signed-in", handle: whoAmI },
  { method: "POST", pattern: "/api/validate-yaml", access: "signed-in", handle: validateYaml },
];

async function whoAmI({ identity: { name, role, organizations } }: Exchange) {
  if (name === undefined) throw notSignedIn();
  const orgs = organizations.map((org) => ({
    type: "org",
    id: org,
    name: org,
    fullname: org,
    roleInOrg: role === "read" ? "read" : "write",
    isEnterprise: false,
    canPay: false,
    avatarUrl: "",
  }));
  const accessToken = {
    displayName: name,
    role: role === "admin" ? "write" : role,
    createdAt: new Date(0).toISOString(),
  };
  return json({
    type: "user",
    id: name,
    name,
    fullname: name,
    email: "",
    emailVerified: false,
    canPay: false,
    isPro: false,
    avatarUrl: "",
    periodEnd: null,
    orgs,
    auth: { type: "access_token", accessToken },
  });
}

/** Always JSON: Python parses it before it looks at the status. */
async function validateYaml(exchange: Exchange) {
  const { errors } = readCard(stringField(await readJsonObject(exchange), "content"));
  return json({ errors: errors.map((message) => ({ message })), warnings: [] }, errors.length === 0 ? 200 : 400);
}
