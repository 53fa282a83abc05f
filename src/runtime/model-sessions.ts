/** Builds onnxruntime sessions of a model's graphs, instrumented at the points asked for, and keeps the ones worth keeping. */
import { layerOfAttentionWeight } from "../arch/attention-weights.ts";
import { VeneError } from "../base/errors.ts";
import type { ProgressListener } from "../base/progress.ts";
import { type Lanes, lanesOf, type Point } from "../interventions/points.ts";
import type { GraphSource } from "./graph-source.ts";
import { Session } from "./ort.ts";

export interface SessionLimits {
  /** A session holds its own packed copy of the weights: models above this size keep one session, smaller ones a few. */
  readonly largeBytes: number;
  readonly sessionsOfSmallModel: number;
  /** Widths, added up, that one session may gather from several interventions: beyond this, idle points start to cost. */
  readonly gatheredWidth: number;
}

const usualLimits: SessionLimits = { largeBytes: 128 << 20, sessionsOfSmallModel: 4, gatheredWidth: 1 << 17 };

export interface SessionsOptions {
  /** Threads inside an op; default: one per core. */
  readonly threads?: number | undefined;
  readonly onProgress?: ProgressListener | undefined;
}

/** A session in use. Nobody releases it before `done` is called. */
export interface Lease {
  readonly session: Session;
  /** The session's own points, and which of them serve the points asked for. */
  readonly points: readonly Point[];
  readonly indices: readonly number[];
  readonly lanes: Lanes;
  readonly done: () => void;
}

interface Live {
  readonly points: readonly Point[];
  readonly session: Promise<Session>;
  leases: number;
}

/** What else a point can stand for: one that clears can also add, and any can do nothing. */
const canDo = {
  none: ["none"],
  add: ["none", "add"],
  swap: ["none", "add", "swap"],
  operate: ["none", "operate"],
} as const satisfies { readonly [E in Point["edit"]]: readonly Point["edit"][] };

function serves(offered: Point, wanted: Point): boolean {
  const can: readonly Point["edit"][] = canDo[offered.edit];
  const same = wanted.operation === undefined || wanted.operation.signature === offered.operation?.signature;
  return offered.value === wanted.value && can.includes(wanted.edit) && same && (offered.read || !wanted.read);
}

export class ModelSessions {
  readonly #graphs: GraphSource;
  readonly #options: SessionsOptions;
  readonly #limits: SessionLimits;
  /** Sessions worth keeping. */
  readonly #keep: number;
  #live: Live[] = [];
  #released = false;

  constructor(graphs: GraphSource, options: SessionsOptions, limits: Partial<SessionLimits> = {}) {
    this.#limits = { ...usualLimits, ...limits };
    this.#graphs = graphs;
    this.#options = options;
    this.#keep = graphs.weightBytes > this.#limits.largeBytes ? 1 : this.#limits.sessionsOfSmallModel;
  }

  /**
   * A session that can do what the points ask, leased until `done` is called. `indices[i]` is the session's point that
   * serves points[i]. A live session with more points serves too, since points that get no edit change nothing. Leases of
   * different points that are held at once each have a session, and so a copy of the weights, until they are done.
   */
  async lease(points: readonly Point[]): Promise<Lease> {
    if (this.#released) throw new VeneError("released", "the model was released", { hint: "load it again" });
    for (const live of this.#live) {
      const indices = matchPoints(points, live.points);
      if (indices !== undefined) return this.#leaseOf(live, indices);
    }
    // Registered before anything is waited for, so that others who ask now get this one.
    const all = this.#keep === 1 ? gathered(this.#live[0]?.points ?? [], points, this.#limits.gatheredWidth) : points;
    const room = this.#dropBeyond(this.#keep - 1);
    const live: Live = { points: all, session: room.then(() => this.#create(all)), leases: 0 };
    this.#live.unshift(live);
    live.session.catch(() => this.#forget(live));
    return this.#leaseOf(live, matchPoints(points, all)!);
  }

  async release(): Promise<void> {
    this.#released = true;
    for (const live of [...this.#live]) await this.#drop(live);
  }

  async #leaseOf(live: Live, indices: readonly number[]): Promise<Lease> {
    this.#live = [live, ...this.#live.filter((other) => other !== live)];
    live.leases++;
    const session = await live.session;
    const done = () => {
      live.leases--;
      if (this.#live.length > this.#keep) void this.#dropBeyond(this.#keep);
    };
    return { session, points: live.points, lanes: lanesOf(live.points), indices, done };
  }

  async #create(points: readonly Point[]): Promise<Session> {
    const { bytes, weightsFolder } = await this.#graphs.build(points);
    // Said beforehand, because creating a session blocks the event loop.
    this.#options.onProgress?.({ phase: "preparing a session", done: 0, unit: "items" });
    return Session.create(bytes, { weightsFolder, threads: this.#options.threads });
  }

  /** Releases the least recently used sessions that nobody is using; nobody gets them from the first moment on. */
  async #dropBeyond(count: number): Promise<void> {
    const idle = this.#live.filter((live) => live.leases === 0);
    const spare = Math.max(0, this.#live.length - count);
    await Promise.all(idle.slice(Math.max(0, idle.length - spare)).map((live) => this.#drop(live)));
  }

  async #drop(live: Live): Promise<void> {
    this.#forget(live);
    const session = await live.session.catch(() => undefined);
    await session?.release();
  }

  #forget(live: Live): void {
    this.#live = this.#live.filter((other) => other !== live);
  }
}

/**
 * The points of the session that is about to be replaced, and the wanted ones that it lacks: whoever goes back and forth
 * between two interventions on a large model gets one session for both. Only the wanted ones when that would be too many.
 */
function gathered(before: readonly Point[], wanted: readonly Point[], most: number): readonly Point[] {
  const all = [...before];
  for (const point of wanted) {
    if (matchPoints([point], before) === undefined) all.push(point);
  }
  const width = all.reduce((sum, point) => sum + point.width, 0);
  const readable = all.every(({ value }) => layerOfAttentionWeight(value) === undefined);
  return readable && width <= most && matchPoints(wanted, all) !== undefined ? all : wanted;
}

/**
 * Serves each wanted point by the next point of the same value that can do as much, keeping their order at each value;
 * undefined if one finds none.
 */
function matchPoints(wanted: readonly Point[], offered: readonly Point[]): readonly number[] | undefined {
  const last = new Map<string, number>();
  const indices: number[] = [];
  for (const point of wanted) {
    const match = offered.findIndex((candidate, i) => i > (last.get(point.value) ?? -1) && serves(candidate, point));
    if (match < 0) return undefined;
    last.set(point.value, match);
    indices.push(match);
  }
  return indices;
}
