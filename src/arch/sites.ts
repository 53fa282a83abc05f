/** Where the places that pyvene and PyTorch name are in a compiled graph: components by layer, modules by path. */
import { VeneError } from "../base/errors.ts";
import type { Component, Site } from "../spec/sites.ts";

/**
 * A place one can intervene at. Every value is [rows, width] with rows = batch x positions. With `heads` the width is
 * count x size and the place is read head by head.
 */
export interface Place {
  /** Name of the graph value. */
  readonly value: string;
  /** What the file of an imported graph calls it, for sites: `value` is then a view of it. */
  readonly name?: string;
  readonly width: number;
  readonly heads?: { readonly count: number; readonly size: number };
  /** Attention weights: to be read only, and as wide as heads x positions attended to, which varies; `width` is then 0. */
  readonly attention?: { readonly heads: number };
  /** Of models that take tensors: the axes between the first and the last, which are counted as positions. */
  readonly positions?: readonly (number | string)[];
}

type Side = "input" | "output";

export class SiteTable {
  readonly layers: number;
  readonly #components = new Map<string, Place>();
  readonly #modules = new Map<string, Place>();
  readonly #values = new Map<string, Place>();
  /** Why a component or a value that exists is no place. */
  readonly #refusals = new Map<string, string>();

  constructor(layers: number) {
    this.layers = layers;
  }

  addComponent(layer: number, component: Component, place: Place): void {
    this.#components.set(`${layer} ${component}`, place);
  }

  addModule(path: string, side: Side, place: Place): void {
    this.#modules.set(`${path}.${side}`, place);
  }

  /** A value of an imported graph, under the name that its file gives it. */
  addValue(name: string, place: Place): void {
    this.#values.set(name, place);
  }

  /** Notes why a site is no place, for who asks for it: "the <site> <why>". */
  refuse(
    site: { readonly layer: number; readonly component: Component } | { readonly value: string },
    why: string,
  ): void {
    this.#refusals.set("value" in site ? site.value : `${site.layer} ${site.component}`, why);
  }

  /** Components that this family has, each with its place in layer 0: what `vene inspect` prints. */
  components(): readonly (readonly [string, Place])[] {
    return [...this.#components].filter(([key]) => key.startsWith("0 ")).map(([key, place]) => [key.slice(2), place]);
  }

  /** All places, named as in a site's spelling. */
  places(): readonly (readonly [string, Place])[] {
    const components = [...this.#components].map(([key, place]): [string, Place] => [key.replace(" ", "."), place]);
    return [...components, ...this.#modules];
  }

  /** The place of a site. Throws `site-out-of-range` for the layer, `site-unknown` for the name; lists what there is. */
  locate(site: Site): Place {
    if ("layer" in site) return this.#locateComponent(site.layer, site.component);
    if ("module" in site) return this.#locateModule(site.module, site.side);
    const named = this.#values.get(site.value);
    if (named !== undefined) return named;
    const place = this.places().find(([, candidate]) => candidate.value === site.value);
    if (place !== undefined) return place[1];
    const why = this.#refusals.get(site.value);
    const message = why === undefined ? `the graph has no activation called ${site.value}` : `${site.value} ${why}`;
    throw new VeneError("site-unknown", message, { details: { site } });
  }

  #locateComponent(layer: number, component: string): Place {
    if (layer < 0 || layer >= this.layers) throw this.#outOfRange(layer, component);
    const place = this.#components.get(`${layer} ${component}`);
    if (place !== undefined) return place;
    const known = this.components().map(([name]) => name);
    const why = this.#refusals.get(`${layer} ${component}`);
    const message =
      why === undefined ? `this model has no component ${component}` : `layer ${layer} ${component} ${why}`;
    throw new VeneError("site-unknown", message, {
      hint: `components: ${known.join(", ")}`,
      details: { component, known },
    });
  }

  #locateModule(path: string, side: Side): Place {
    const canonical = path.replace(/\[(\d+)\]/g, ".$1");
    const place = this.#modules.get(`${canonical}.${side}`);
    if (place !== undefined) return place;
    const layer = /\.(\d+)\./.exec(`${canonical}.`)?.[1];
    if (layer !== undefined && Number(layer) >= this.layers) throw this.#outOfRange(Number(layer), path);
    const similar = [...this.#modules.keys()].filter((key) => layer === undefined || key.includes(`.${layer}.`));
    throw new VeneError("site-unknown", `this model has no module ${path} with an ${side}`, {
      hint: `modules: ${similar.slice(0, 24).join(", ")}`,
      details: { module: path, side },
    });
  }

  #outOfRange(layer: number, name: string): VeneError {
    return new VeneError(
      "site-out-of-range",
      `${name}: layer ${layer} does not exist, the model has layers 0 to ${this.layers - 1}`,
      {
        details: { layer, layers: this.layers },
      },
    );
  }
}
