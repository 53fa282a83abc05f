/** One client of the Hub in a process of its own, so that its memory is its own. Talks over IPC. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createRepo, downloadFileToCacheDir, snapshotDownload, uploadFiles } from "@huggingface/hub";
import { hubEnvironment } from "../../src/hub/environment.ts";
import { pull } from "../../src/hub/pull.ts";
import { pushFiles } from "../../src/hub/push.ts";
import { parseRepoId } from "../../src/hub/repo-id.ts";
import type { Client, HubResult, HubTask } from "./protocol.ts";

const [endpoint = "", token = "", client = "vene"] = process.argv.slice(2) as [string?, string?, Client?];
const access = { hubUrl: endpoint, accessToken: token };

interface Verbs {
  pull(task: HubTask): Promise<unknown>;
  push(task: HubTask): Promise<unknown>;
}

/** Both make the repository and send the files in one commit; vene compares what the Hub has then. */
const js: Verbs = {
  pull: ({ repo, folder }) => snapshotDownload({ repo, cacheDir: folder, ...access }),
  async push({ repo, folder, files }) {
    await createRepo({ repo, ...access });
    const contents = files.map((path) => ({ path, content: pathToFileURL(join(folder, path)) }));
    await uploadFiles({ repo, files: contents, ...access });
  },
};

const verbs = {
  vene: {
    pull: ({ repo, folder }) =>
      pull(hubEnvironment({ endpoint, token, cacheFolder: folder }, {}), parseRepoId(repo), (paths) => paths),
    push: ({ repo, folder, files }) => {
      const contents = files.map((path) => ({ path, content: { file: join(folder, path) } }));
      return pushFiles(hubEnvironment({ endpoint, token }, {}), parseRepoId(repo), async () => ({
        files: contents,
        remove: [],
      }));
    },
  },
  js,
  "js-file": {
    ...js,
    pull: ({ repo, folder, files }) => downloadFileToCacheDir({ repo, path: files[0]!, cacheDir: folder, ...access }),
  },
} satisfies { readonly [K in Client]: Verbs };

// It logs every file it downloads.
console.debug = () => undefined;

async function measure(task: HubTask): Promise<HubResult> {
  const begin = performance.now();
  const cpuBefore = process.cpuUsage();
  await verbs[client][task.work](task);
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { seconds, cpuSeconds: (user + system) / 1e6, peakRssMb: process.resourceUsage().maxRSS / 1024 };
}

process.on("message", (task: HubTask) => {
  void measure(task).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});
process.send?.("ready");
