/** A registry on any web server: read only, one GET per document. */
import { VeneError } from "../base/errors.ts";
import type { HubEnvironment } from "../hub/environment.ts";
import { DocumentCache } from "./document-cache.ts";
import { RemoteSnapshot } from "./remote-snapshot.ts";
import type { RegistryStore, Snapshot } from "./store.ts";

export class WebStore implements RegistryStore {
  readonly location: string;
  readonly #environment: HubEnvironment;
  readonly #cache: DocumentCache;

  /** The Hub's token is not for other servers. */
  constructor(url: string, environment: HubEnvironment, cacheFolder: string) {
    this.location = url.replace(/\/+$/, "");
    this.#environment = { ...environment, endpoint: this.location, token: undefined };
    this.#cache = new DocumentCache(cacheFolder, this.location);
  }

  async snapshot(signal?: AbortSignal): Promise<Snapshot> {
    return new RemoteSnapshot({
      location: this.location,
      environment: this.#environment,
      cache: this.#cache,
      head: "",
      offline: this.#environment.offline,
      urlOf: (path) => `${this.location}/${path}`,
      signal,
    });
  }

  async settle(): Promise<void> {}

  async commit(): Promise<never> {
    throw new VeneError("registry-usage", `${this.location} can only be read`, {
      hint: "publish to the folder or the dataset that it is served from",
      details: { location: this.location },
    });
  }
}
