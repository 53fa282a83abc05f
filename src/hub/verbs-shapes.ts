/** What the Hub's answers must look like before anything in them is used; keys beyond these are ignored. */
import { z } from "zod";
import { VeneError } from "../base/errors.ts";
import type { JsonValue } from "../formats/json.ts";

const commitId = z.string().regex(/^[0-9a-f]{40}$/);
const text = z.string().max(10_000);

export const repositoryShape = z.object({ sha: commitId.nullish(), private: z.boolean().optional() });

const ref = z.object({ name: text, ref: text, targetCommit: commitId });
export const refsShape = z.object({
  branches: z.array(ref),
  tags: z.array(ref),
  pullRequests: z.array(ref).optional(),
});
export type RemoteRefs = z.infer<typeof refsShape>;

export const commitsShape = z.array(z.object({ id: commitId }));

export const whoamiShape = z.object({
  type: z.string().optional(),
  name: text,
  fullname: text.optional(),
  orgs: z.array(z.object({ name: text })).optional(),
  auth: z
    .object({ accessToken: z.object({ displayName: text.optional(), role: text.optional() }).optional() })
    .optional(),
});

export const modelsShape = z.array(
  z.object({
    id: text,
    private: z.boolean().optional(),
    lastModified: text.optional(),
    tags: z.array(text).optional(),
    sha: commitId.nullish(),
  }),
);

/** The answer as its shape says. Throws `hub-rejected` naming the first field that is wrong. */
export function shaped<T>(shape: z.ZodType<T>, value: JsonValue, what: string): T {
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new VeneError("hub-rejected", `${what}: the answer is not the Hub's: ${path.join(".") || "it"}: ${message}`, {
    hint: "check HF_ENDPOINT",
  });
}
