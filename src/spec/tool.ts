/** What vene calls itself in the files it writes; a test holds the version to package.json's. */

export const toolOfVene = { name: "vene", version: "0.1.0" } as const;
