import { describe, expect, it } from 'vitest';
import {
  BackendUnavailableError,
  DisposedError,
  DSConvError,
  InvalidArgumentError,
  InvalidFilterError,
  NotFiniteError,
  SelfTestError,
  UnsupportedError,
} from '../src/index.js';

describe('errors', () => {
  it('carry a name and a code', () => {
    const codes = [
      [BackendUnavailableError, 'BACKEND_UNAVAILABLE'],
      [DisposedError, 'DISPOSED'],
      [InvalidArgumentError, 'INVALID_ARGUMENT'],
      [InvalidFilterError, 'INVALID_FILTER'],
      [NotFiniteError, 'NOT_FINITE'],
      [SelfTestError, 'SELF_TEST_FAILED'],
      [UnsupportedError, 'UNSUPPORTED'],
    ] as const;
    for (const [Class, code] of codes) {
      const error = new Class('a sentence');
      expect(error).toBeInstanceOf(DSConvError);
      expect(error).toBeInstanceOf(Error);
      expect(error).toMatchObject({ name: Class.name, code, message: 'a sentence' });
    }
  });

  it('keep their cause', () => {
    const cause = new Error('inner');
    expect(new DSConvError('X', 'outer', { cause }).cause).toBe(cause);
  });
});
