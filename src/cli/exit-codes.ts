/** The exit codes of `vene`, as --help prints them. */

export const exitCodes = { ok: 0, failure: 1, usage: 2, interrupted: 130 } as const;

export const exitCodesHelp = `
Exit codes:
  0    done
  1    failed: stderr says error[code]: what happened, and a hint; the codes are listed in docs/errors.md
  2    usage: unknown command or option, or options that do not go together
  130  interrupted by Ctrl-C
`;
