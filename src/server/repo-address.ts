/** From the placeholders of a route to the repository that is meant. */
import type { RepoName } from "./store/repository.ts";
import { decodeSegment } from "./store/revisions.ts";

const typeOf = { models: "model", datasets: "dataset", spaces: "space" } as const;

export function isTypes(text: string): text is keyof typeof typeOf {
  return Object.hasOwn(typeOf, text);
}

/** The repository that `{api}` and `{web}` patterns matched; no prefix means a model. */
export function repoNameOf(parameters: Readonly<Record<string, string>>): RepoName {
  const types = parameters["types"] ?? "models";
  return {
    type: isTypes(types) ? typeOf[types] : "model",
    namespace: decodeSegment(parameters["namespace"] ?? ""),
    name: decodeSegment(parameters["name"] ?? ""),
  };
}
