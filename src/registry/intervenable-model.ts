/** IntervenableModel that loads by name: the runtime knows folders and the Hub, and registries are added on top of it here. */
import { IntervenableModel as BoundModel } from "../runtime/intervenable/intervenable-model.ts";
import {
  type LoadInterventionOptions as BoundLoadOptions,
  openIntervention,
} from "../runtime/intervenable/open-intervention.ts";
import type { Model } from "../runtime/model.ts";
import { type LocateInterventionOptions, locateIntervention } from "./locate.ts";

export interface LoadInterventionOptions extends BoundLoadOptions, Omit<LocateInterventionOptions, "base"> {}

export class IntervenableModel extends BoundModel {
  /**
   * Opens what is named. An existing folder wins; then what the lockfile has; then a name in a registry ("honest@^1",
   * "lab/honest@stable", "registry:lab/honest"); then an id on the Hub ("org/name@revision"). "hf:", "file:" and "https:" say which
   * is meant. Throws `registry-*`, `hub-*`, `artefact-missing`, and all that reading and binding throw.
   */
  static override async load(
    source: string,
    model: Model,
    options: LoadInterventionOptions = {},
  ): Promise<IntervenableModel> {
    const { registry, cacheFolder, lockfile, frozen, ...plain } = options;
    const { architecture, shape } = model;
    const base = { architecture, layers: shape.layers, hiddenSize: shape.hiddenSize };
    const { artefact, notices, pinned } = await openIntervention(source, model, plain, async (name, given) => {
      const more = { registry, cacheFolder, lockfile, frozen, base };
      const { folder, ...pulled } = await locateIntervention(name, { ...given, ...more });
      return { folder, pulled };
    });
    return new IntervenableModel(artefact, model, notices, pinned);
  }
}
