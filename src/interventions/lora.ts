/** LoRA: a low-rank product of the module's input is added to its output (Hu et al. 2021). */
import type { OperatorKind } from "./kind.ts";
import { filled, plus, timesTransposed, uniformByFanIn } from "./matrices.ts";

/** PEFT's LoRA of a Linear, unmerged: y + scaling x B A x. */
export const lora: OperatorKind = {
  kind: "lora",
  takesSource: false,
  takesInput: true,
  emit(builder, x) {
    const { scaling } = x.parameters as { scaling: number };
    const narrow = builder.linear("lora.narrow", x.input!, x.tensors["a"]!);
    const change = builder.linear("lora.wide", narrow, x.tensors["b"]!);
    return builder.add("edited", x.base, builder.mul("lora.scaled", change, builder.scalar(scaling)));
  },
  reference(x) {
    const { scaling } = x.parameters as { scaling: number };
    const change = timesTransposed(timesTransposed(x.input!, x.tensors["a"]!), x.tensors["b"]!);
    return plus(
      x.base,
      change.map((value) => scaling * value),
    );
  },
  initial: { a: uniformByFanIn, b: filled(0) },
};
