/** Machine-readable reason of a {@link DSConvError}. */
export type DSConvErrorCode =
  | 'INVALID_ARGUMENT'
  | 'INVALID_FILTER'
  | 'NOT_FINITE'
  | 'UNSUPPORTED'
  | 'DISPOSED'
  | 'BACKEND_UNAVAILABLE'
  | 'SELF_TEST_FAILED'
  | (string & {});

/**
 * Base of every error this project throws on purpose: one sentence that names the argument or file, the value, and
 * what was expected, with a `code` for programs.
 */
export class DSConvError extends Error {
  readonly code: DSConvErrorCode;

  constructor(code: DSConvErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** An argument of an operator is outside what the operator is defined for. */
export class InvalidArgumentError extends DSConvError {
  constructor(message: string) {
    super('INVALID_ARGUMENT', message);
  }
}

/** The parts of a filter do not fit together (lengths, ranges, kinds). */
export class InvalidFilterError extends DSConvError {
  constructor(message: string) {
    super('INVALID_FILTER', message);
  }
}

/** A weight or scale is NaN or infinite, or too large for the number format that must hold it. */
export class NotFiniteError extends DSConvError {
  constructor(message: string) {
    super('NOT_FINITE', message);
  }
}

/** A backend declines a case; the message is the reason its `supports` gave. */
export class UnsupportedError extends DSConvError {
  constructor(message: string) {
    super('UNSUPPORTED', message);
  }
}

/** A filter, plan or backend was used after `dispose()`. */
export class DisposedError extends DSConvError {
  constructor(message: string) {
    super('DISPOSED', message);
  }
}

/** No backend of those asked for can run here. */
export class BackendUnavailableError extends DSConvError {
  constructor(message: string) {
    super('BACKEND_UNAVAILABLE', message);
  }
}

/** A backend computed something else than the known answer. It must not be used. */
export class SelfTestError extends DSConvError {
  constructor(message: string) {
    super('SELF_TEST_FAILED', message);
  }
}
