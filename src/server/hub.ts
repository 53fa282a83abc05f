/** What handlers work with: the open stores of one hub folder, and its settings. */

import type { LfsStore } from "./lfs-store.ts";
import type { HubLimits } from "./limits.ts";
import type { Scratch } from "./scratch.ts";
import type { Repositories } from "./store/repositories.ts";
import type { UploadGrants } from "./upload-grants.ts";
import type { XorbStores } from "./xet/xorb-stores.ts";

export interface Hub {
  /** A UUID made with the folder: wiping the folder changes it. */
  readonly id: string;
  /** The folder that everything lies in. */
  readonly folder: string;
  readonly repositories: Repositories;
  readonly lfs: LfsStore;
  readonly scratch: Scratch;
  readonly grants: UploadGrants;
  readonly xorbs: XorbStores;
  readonly limits: HubLimits;
  readonly readOnly: boolean;
}
