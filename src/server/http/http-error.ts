/** A request that is answered with an error: thrown anywhere in a handler, turned into an answer in one place. */

/** What the real Hub puts into `X-Error-Code`; its clients choose their exception by it. */
export type HubErrorCode = "RepoNotFound" | "RevisionNotFound" | "EntryNotFound" | "GatedRepo";

export class HttpError extends Error {
  readonly status: number;
  readonly errorCode: HubErrorCode | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** More keys of the JSON answer, beside `error`. */
  readonly fields: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    message: string,
    options: { errorCode?: HubErrorCode; headers?: Record<string, string>; fields?: Record<string, unknown> } = {},
  ) {
    super(message);
    this.status = status;
    this.errorCode = options.errorCode;
    this.headers = options.headers ?? {};
    this.fields = options.fields ?? {};
  }
}
