/** README.md of an artefact: a model card for the Hub, in which nothing from the manifest can act as markup. */
import { sha256Of } from "../base/digest.ts";
import { type Manifest, tensorsFileName } from "../spec/manifest.ts";
import { type CardSample, cardBody } from "./card-body.ts";
import { frontMatter } from "./card-front-matter.ts";
import { joinCard, keptSamples, splitCard } from "./card-text.ts";

export interface CardOptions {
  /** Whether the folder also holds what pyvene loads. */
  readonly pyvene: boolean;
  /** The README that is updated: its own text, front matter and, while they are still true, its samples stay. */
  readonly before?: string | undefined;
  /** "org/name" on the Hub; absent = the card is for a folder. */
  readonly repo?: string | undefined;
  /** Answers that vene generated with and without the intervention. */
  readonly samples?: readonly CardSample[] | undefined;
}

/**
 * The card: front matter that the Hub indexes, and between two markers what the artefact does, where, how to apply it and
 * where it comes from. What stands outside the markers in `before`, and keys of its front matter that are not vene's, are kept
 * as they are. Throws `card-invalid` where `before` has no front matter that could be updated.
 */
export function renderCard(manifest: Manifest, options: CardOptions): string {
  const before = splitCard(options.before ?? "");
  const body = cardBody(manifest, { ...options, ...samplesFor(manifest, options, before.generated) });
  return joinCard({
    ...before,
    frontMatter: frontMatter(manifest, options.pyvene, before.frontMatter),
    generated: body,
  });
}

/** Samples belong to exactly these tensors and settings. */
function samplesFor(manifest: Manifest, options: CardOptions, before: string) {
  const digest = sha256Of(
    JSON.stringify([manifest.files[tensorsFileName].sha256, manifest.mode, manifest.interventions]),
  );
  return { digest, kept: options.samples === undefined ? keptSamples(before, digest) : undefined };
}
