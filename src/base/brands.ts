/** Strings that must not be mixed up, told apart by the type checker. */

declare const brand: unique symbol;

export type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** 64 lower-case hex digits. */
export type Sha256 = Branded<string, "Sha256">;
