/**
 * A strict JSON reader for headers from strangers. Unlike `JSON.parse` it refuses duplicate keys, limits the depth, and returns objects as
 * Maps, so that a key such as `__proto__` is a key and nothing else.
 */

export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = Map<string, Json>;

const MAX_DEPTH = 64;

/** What is wrong with a JSON text; callers wrap it into an error that names the file. */
export class JsonError extends Error {}

/** @throws JsonError with a clause such as `has … at character 17` */
export function parseJson(text: string): Json {
  const parser = new Parser(text);
  const value = parser.value(0);
  parser.end();
  return value;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BLANK = /[ \t\n\r]*/y;
class Parser {
  private at = 0;

  constructor(private readonly text: string) {}

  value(depth: number): Json {
    if (depth > MAX_DEPTH) throw new JsonError(`is nested deeper than ${MAX_DEPTH} levels`);
    this.skipBlanks();
    switch (this.text[this.at]) {
      case '{':
        return this.object(depth);
      case '[':
        return this.array(depth);
      case '"':
        return this.string();
      case 't':
        return this.word('true', true);
      case 'f':
        return this.word('false', false);
      case 'n':
        return this.word('null', null);
      default:
        return this.number();
    }
  }

  end(): void {
    this.skipBlanks();
    if (this.at !== this.text.length) throw this.unexpected('the end');
  }

  private object(depth: number): JsonObject {
    const result: JsonObject = new Map();
    this.at++;
    if (this.accept('}')) return result;
    do {
      this.skipBlanks();
      const key = this.string();
      if (result.has(key)) throw new JsonError(`has the key '${shorten(key)}' twice`);
      this.expect(':');
      result.set(key, this.value(depth + 1));
    } while (this.accept(','));
    this.expect('}');
    return result;
  }

  private array(depth: number): Json[] {
    const result: Json[] = [];
    this.at++;
    if (this.accept(']')) return result;
    do result.push(this.value(depth + 1));
    while (this.accept(','));
    this.expect(']');
    return result;
  }

  /** Scans by hand: a pattern would keep one backtracking state per character of strings that may be megabytes long. */
  private string(): string {
    const { text } = this;
    if (text[this.at] !== '"') throw this.unexpected('a string');
    const start = this.at;
    let end = start + 1;
    let escaped = false;
    for (let code = text.charCodeAt(end); code !== QUOTE; code = text.charCodeAt(++end)) {
      // NaN past the end compares false, hence the negation.
      if (!(code >= 0x20)) {
        this.at = Math.min(end, text.length);
        throw this.unexpected('the rest of a string');
      }
      if (code === BACKSLASH) {
        escaped = true;
        end++;
      }
    }
    this.at = end + 1;
    if (!escaped) return text.slice(start + 1, end);
    try {
      return JSON.parse(text.slice(start, end + 1)) as string;
    } catch {
      throw new JsonError(`has an invalid escape in the string at character ${start}`);
    }
  }

  private number(): number {
    const raw = this.match(NUMBER);
    if (raw === null) throw this.unexpected('a value');
    return Number(raw);
  }

  private word<T extends Json>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) throw this.unexpected(word);
    this.at += word.length;
    return value;
  }

  private match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) return null;
    this.at = pattern.lastIndex;
    return found[0];
  }

  private skipBlanks(): void {
    this.match(BLANK);
  }

  private accept(character: string): boolean {
    this.skipBlanks();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private expect(character: string): void {
    if (!this.accept(character)) throw this.unexpected(`'${character}'`);
  }

  private unexpected(expected: string): JsonError {
    const found = this.at < this.text.length ? JSON.stringify(this.text[this.at]) : 'the end';
    return new JsonError(`has ${found} at character ${this.at}; expected ${expected}`);
  }
}

/** For messages: names from a hostile file may be megabytes long. */
export function shorten(text: string, most = 80): string {
  return text.length <= most ? text : `${text.slice(0, most)}…`;
}
