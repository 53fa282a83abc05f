/** The MLP without a gate: down(act(up(x))). */
import { activated, type GatedMlpOptions, type Mlp } from "./gated-mlp.ts";

export interface PlainMlpOptions extends GatedMlpOptions {
  /** What the family calls the three modules. */
  readonly names: { readonly up: string; readonly act: string; readonly down: string };
  /** Whether weights are stored [in, out]. */
  readonly inFirst?: boolean;
}

/** Two Linear layers with an activation in between. */
export function plainMlp({ names, inner, activation, bias = true, inFirst = false }: PlainMlpOptions): Mlp {
  return (e, { layer, path, width }, x) => {
    const up = e.dense(`${path}.${names.up}`, x, width, inner, { bias, inFirst });
    const act = activated(e, layer, `${path}.${names.act}`, up, { inner, activation });
    return e.dense(`${path}.${names.down}`, act, inner, width, { bias, inFirst });
  };
}
