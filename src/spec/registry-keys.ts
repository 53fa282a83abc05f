/** keys.json of a registry: who may sign for which namespace, with which key, and since when. */
import { z } from "zod";
import { namespaceSchema, timeSchema } from "./registry-names.ts";
import { sha256Schema, textUpTo } from "./text.ts";

export const publisherKeySchema = z
  .strictObject({
    keyid: sha256Schema.meta({ description: "sha256 of the PEM text in spki, as OpenSSF model signing has it" }),
    alg: z.literal("ecdsa-p256"),
    spki: textUpTo(1000).meta({ description: "the public key as PEM: BEGIN PUBLIC KEY" }),
    namespaces: z
      .array(z.union([namespaceSchema, z.literal("*")]))
      .min(1)
      .meta({ description: 'what it may sign; "*" is all', examples: [["lab"]] }),
    from: timeSchema.optional(),
    until: timeSchema.optional().meta({ description: "expired after this" }),
    revoked: z
      .strictObject({ at: timeSchema, reason: textUpTo(500) })
      .optional()
      .meta({ description: "nothing it signed is trusted any more, whenever that was" }),
  })
  .meta({ id: "publisherKey" });

export const publisherKeysSchema = z
  .strictObject({ publishers: z.record(textUpTo(64), z.array(publisherKeySchema)) })
  .meta({ title: "vene registry: keys.json", description: "public keys by publisher" });

export type PublisherKey = z.infer<typeof publisherKeySchema>;
export type PublisherKeys = z.infer<typeof publisherKeysSchema>;
