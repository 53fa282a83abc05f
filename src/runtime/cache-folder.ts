/** Where vene keeps what it can make again: converted weights. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** VENE_CACHE, else XDG_CACHE_HOME/vene, else ~/.cache/vene. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const own = environment["VENE_CACHE"];
  if (own) return resolve(own);
  const xdg = environment["XDG_CACHE_HOME"];
  return join(xdg ? resolve(xdg) : join(homedir(), ".cache"), "vene");
}
