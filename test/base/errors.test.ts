/** The one error class: recognised across copies of the package, carrying what a program needs. */
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "@jest/globals";
import { throwIfAborted } from "../../src/base/abort.ts";
import { messageOf, systemCodeOf, VeneError } from "../../src/base/errors.ts";

describe("VeneError", () => {
  test("carries code, message, hint, details and cause", () => {
    const cause = new Error("disk");
    const error = new VeneError("write-failed", "cannot write x", { hint: "look", details: { path: "x" }, cause });
    expect(error).toMatchObject({ name: "VeneError", code: "write-failed", message: "cannot write x", hint: "look" });
    expect(error.details).toEqual({ path: "x" });
    expect(error.cause).toBe(cause);
    expect(error instanceof Error).toBe(true);
    expect(String(error)).toBe("VeneError: cannot write x");
    const bare = new VeneError("usage", "x");
    expect([bare.hint, bare.details, "cause" in bare]).toEqual([undefined, {}, false]);
  });

  test("instanceof holds for another copy of the class, and for nothing else", () => {
    const brand = Symbol.for("vene.error");
    const other = runInNewContext("Object.defineProperty(new Error('x'), brand, { value: true })", { brand });
    expect(other instanceof VeneError).toBe(true);
    for (const thing of [new Error("x"), null, undefined, "VeneError", { code: "usage" }, 3]) {
      expect(thing instanceof VeneError).toBe(false);
    }
  });

  test("anything thrown has a message, and a system code where there is one", () => {
    expect([new Error("a"), "b", 3, null, undefined].map(messageOf)).toEqual(["a", "b", "3", "null", "undefined"]);
    expect([{ code: "EACCES" }, { code: 5 }, null, "x"].map(systemCodeOf)).toEqual([
      "EACCES",
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("an aborted signal throws with its reason, any other does nothing", () => {
    throwIfAborted(undefined);
    throwIfAborted(new AbortController().signal);
    const reason = new Error("enough");
    expect(() => throwIfAborted(AbortSignal.abort(reason))).toThrow(
      expect.objectContaining({ code: "aborted", cause: reason }),
    );
  });
});
