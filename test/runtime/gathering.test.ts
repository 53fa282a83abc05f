/** Large models keep one session: going back and forth between interventions gathers their points, and idle sessions go. */
import { afterAll, expect, jest, test } from "@jest/globals";
import { openCheckpoint } from "../../src/arch/checkpoint.ts";
import { familyOf } from "../../src/arch/families.ts";
import { CheckpointGraphs } from "../../src/runtime/checkpoint-graphs.ts";
import { ModelSessions, type SessionLimits } from "../../src/runtime/model-sessions.ts";
import { Session } from "../../src/runtime/ort.ts";
import { fixture } from "../support/fixtures.ts";

const create = jest.spyOn(Session, "create");
afterAll(() => {
  create.mockRestore();
});

const point = (layer: number) =>
  ({ value: `layers.${layer}.block_output`, width: 32, edit: "add", read: false }) as const;

/** The tiny fixture, whose weights are said to be so large that one session is all there may be. */
async function largeModel(limits: Partial<SessionLimits> = {}): Promise<ModelSessions> {
  const checkpoint = await openCheckpoint(fixture("models", "llama"));
  const family = familyOf(checkpoint.config);
  const graphs = new CheckpointGraphs(checkpoint, family, { cacheFolder: "unused" });
  return new ModelSessions(graphs, { threads: 1 }, { largeBytes: 1, ...limits });
}

test("a second intervention's session serves the first one, too", async () => {
  create.mockClear();
  const sessions = await largeModel();
  const first = await sessions.lease([point(0)]);
  first.done();
  const second = await sessions.lease([point(2)]);
  second.done();
  const again = await sessions.lease([point(0)]);
  again.done();
  const plain = await sessions.lease([]);
  plain.done();
  expect(create).toHaveBeenCalledTimes(2);
  expect(again.points).toEqual([point(0), point(2)]);
  expect([second.indices, again.indices, plain.indices]).toEqual([[1], [0], []]);
  await sessions.release();
});

test("sessions held at once are let go as soon as nobody uses them", async () => {
  create.mockClear();
  const sessions = await largeModel();
  const release = jest.spyOn(Session.prototype, "release");
  const one = await sessions.lease([point(0)]);
  const other = await sessions.lease([point(1)]);
  expect(release).not.toHaveBeenCalled();
  one.done();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(release).toHaveBeenCalledTimes(1);
  other.done();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(release).toHaveBeenCalledTimes(1);
  await sessions.release();
  expect(release).toHaveBeenCalledTimes(2);
  release.mockRestore();
});

test("too many points are not gathered", async () => {
  const sessions = await largeModel({ gatheredWidth: 64 });
  (await sessions.lease([point(0), point(1)])).done();
  const alone = await sessions.lease([point(2)]);
  alone.done();
  expect(alone.points).toEqual([point(2)]);
  await sessions.release();
});
