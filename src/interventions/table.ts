/** The closed table of kinds: what the rest of the code asks when it needs to know how a kind behaves. */
import type { Kind } from "../spec/kinds.ts";
import { addition } from "./addition.ts";
import { collect } from "./collect.ts";
import type { KindImplementation } from "./kind.ts";
import { subtraction } from "./subtraction.ts";
import { vanilla } from "./vanilla.ts";
import { zero } from "./zero.ts";

export const kindTable = { addition, subtraction, vanilla, zero, collect } as const satisfies {
  readonly [K in Kind]: KindImplementation;
};
