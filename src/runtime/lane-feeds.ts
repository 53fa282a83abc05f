/** What a step feeds to the points of a leased session: edits through the bank, operations, and which rows are read. */
import { BankBuilder, type Edit } from "../interventions/bank.ts";
import { type OperationEdit, operationFeeds } from "../interventions/operation.ts";
import { laneNames } from "../interventions/points.ts";
import type { Lease } from "./model-sessions.ts";
import type { Feed } from "./ort.ts";

/** What changes at one of the session's points in one step. */
export type StepEdit = Edit | OperationEdit;

/** What one step does at the session's points. */
export interface PointWork {
  /** Edits of the session's points; their rows are rows of the flattened step. */
  readonly edits: readonly StepEdit[];
  /** Points to read and the flattened rows to read there. */
  readonly reads?: { readonly points: readonly number[]; readonly rows: readonly number[] };
}

function isOperationEdit(edit: StepEdit): edit is OperationEdit {
  return "cells" in edit;
}

export class LaneFeeds {
  readonly #lease: Lease;
  readonly #bank: BankBuilder;

  constructor(lease: Lease) {
    this.#lease = lease;
    this.#bank = new BankBuilder(lease.lanes);
  }

  /** `rows`: of the flattened step. */
  feeds({ edits, reads }: PointWork, rows: number): Record<string, Feed> {
    const { lanes } = this.#lease;
    const feeds = this.#operationFeeds(edits);
    if (lanes.reads) feeds[laneNames.readRows] = indices(reads?.rows ?? []);
    if (lanes.vectorWidth === 0) return feeds;
    const banked = edits.filter((edit): edit is Edit => !isOperationEdit(edit));
    const { select, patterns, vectors, clears } = this.#bank.build(banked, rows);
    feeds[laneNames.select] = { dtype: "float32", data: select, shape: [rows, patterns] };
    feeds[laneNames.vectors] = { dtype: "float32", data: vectors, shape: [patterns, lanes.vectorWidth] };
    if (lanes.clearWidth > 0) {
      feeds[laneNames.clears] = { dtype: "float32", data: clears, shape: [patterns, lanes.clearWidth] };
    }
    return feeds;
  }

  #operationFeeds(edits: readonly StepEdit[]): Record<string, Feed> {
    const operations = new Map(edits.filter(isOperationEdit).map((edit) => [edit.point, edit]));
    const feeds: Record<string, Feed> = {};
    this.#lease.points.forEach(({ operation }, point) => {
      if (operation !== undefined) Object.assign(feeds, operationFeeds(point, operation, operations.get(point)));
    });
    return feeds;
  }
}

/** int64 row numbers. */
export function indices(rows: readonly number[]): Feed {
  return { dtype: "int64", data: BigInt64Array.from(rows, BigInt), shape: [rows.length] };
}
