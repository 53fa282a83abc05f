/** Python's spellings: json.dumps as transformers calls it, and the repr of a namedtuple. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { pythonJson } from "../../src/artefact/python-json.ts";
import { parsePythonCall } from "../../src/artefact/python-repr.ts";
import { parseJson } from "../../src/formats/json.ts";
import { savedByPyvene } from "./places.ts";

describe("pythonJson", () => {
  test.each(savedByPyvene)("writes %s's config.json byte for byte", (_, saved) => {
    const text = readFileSync(join(saved, "config.json"), "utf8");
    expect(pythonJson(parseJson(text))).toBe(text);
  });

  test("sorts by code point, escapes what is not ASCII, spells floats as Python does", () => {
    const text = pythonJson({
      "\u{1f600}": 1,
      "\uff01": [],
      b: {},
      a: [1e-5, 1.5e-7, 0.0001, 1e16, 2 ** 53, -0.5, 1.5e300, true, null],
      é: '\u007f\n"',
    });
    // python3 -c 'import json; print(json.dumps({...}, indent=2, sort_keys=True))', but for 1e16, which JavaScript cannot tell from an int
    expect(text).toBe(
      `{\n  "a": [\n    1e-05,\n    1.5e-07,\n    0.0001,\n    10000000000000000,\n    9007199254740992,\n    -0.5,\n    1.5e+300,\n    true,\n    null\n  ],\n  "b": {},\n  "\\u00e9": "\\u007f\\n\\"",\n  "\\uff01": [],\n  "\\ud83d\\ude00": 1\n}\n`,
    );
  });

  test("any JSON value reads back", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) =>
        expect(JSON.parse(pythonJson(value as never))).toEqual(JSON.parse(JSON.stringify(value))),
      ),
    );
  });
});

describe("parsePythonCall", () => {
  test("reads a RepresentationConfig as pyreft printed it", () => {
    const text =
      "RepresentationConfig(layer=4, component='block_output', unit=\"pos\", max_number_of_units=1, low_rank_dimension=None, " +
      "intervention_type=<class 'pyvene.models.interventions.AdditionIntervention'>, intervention=Loreft(\n  (rotate): A(a=1, b=[2, 3])\n), " +
      "subspace_partition=[[0, 2], (2, 6)], group_key=None, source_representation=tensor([1., 2.], device='cuda:0'), flag=True, x=-1.5e3, t=())";
    expect(Object.fromEntries(parsePythonCall(text)!)).toEqual({
      layer: 4,
      component: "block_output",
      unit: "pos",
      max_number_of_units: 1,
      low_rank_dimension: null,
      intervention_type: null,
      intervention: null,
      subspace_partition: [
        [0, 2],
        [2, 6],
      ],
      group_key: null,
      source_representation: null,
      flag: true,
      x: -1500,
      t: [],
    });
  });

  test.each([
    "",
    "RepresentationConfig",
    "RepresentationConfig(",
    "f(1, 2)",
    "f(a=1, a=2)",
    "f(a)",
    "__import__('os').system('x')",
  ])("%j is no such call", (text) => {
    expect(parsePythonCall(text)).toBeUndefined();
  });

  test("never throws and never hangs", () => {
    const part = fc.constantFrom("a", "=", ",", "(", ")", "[", "]", "'", '"', "\\", " ", "1", "None", "f(");
    fc.assert(
      fc.property(fc.array(part, { maxLength: 60 }), (parts) => {
        parsePythonCall(`f(${parts.join("")})`);
      }),
      { numRuns: 3000 },
    );
    expect(parsePythonCall(`f(a=${"[".repeat(100000)})`)!.get("a")).toBeNull();
    expect(parsePythonCall(`f(a=${"[".repeat(5000)}${"]".repeat(5000)})`)!.get("a")).toBeDefined();
  });
});
