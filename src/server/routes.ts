/** The table of everything the server answers; the first route that matches counts. */
import type { Route } from "./route.ts";
import { accountRoutes } from "./routes/account.ts";
import { commitRoutes } from "./routes/commit.ts";
import { discussionRoutes } from "./routes/discussions.ts";
import { historyRoutes } from "./routes/history.ts";
import { infoRoutes } from "./routes/info.ts";
import { lfsRoutes } from "./routes/lfs.ts";
import { preuploadRoutes } from "./routes/preupload.ts";
import { refRoutes } from "./routes/refs.ts";
import { repoRoutes } from "./routes/repos.ts";
import { resolveRoutes } from "./routes/resolve.ts";
import { treeRoutes } from "./routes/tree.ts";
import { webRoutes } from "./web/routes.ts";
import { xetRoutes } from "./xet/routes.ts";

export const routes: readonly Route[] = [
  ...accountRoutes,
  ...repoRoutes,
  ...infoRoutes,
  ...treeRoutes,
  ...preuploadRoutes,
  ...lfsRoutes,
  ...commitRoutes,
  ...historyRoutes,
  ...refRoutes,
  ...discussionRoutes,
  ...resolveRoutes,
  ...xetRoutes,
  ...webRoutes,
];
