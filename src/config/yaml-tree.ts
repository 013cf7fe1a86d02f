import { Composer, type CST, type Document, Lexer, LineCounter, Parser } from "yaml";
import type { ConfigNode } from "./config-node.ts";
import type { Mistake } from "./mistake.ts";
import { copyNode } from "./yaml-copy.ts";

/**
 * YAML 1.2 text to a tree with places. A file may be hostile: the composer of `yaml` descends by recursion, and a
 * megabyte of "[" ends the process. So depth and number of tokens are bounded while the tokens are still flat, and what
 * aliases multiply is bounded while the tree is copied. Tags, directives and a second document mean nothing here.
 */
export interface YamlLimits {
  /** Tokens of the file: words, marks, line ends, indentation. */
  readonly tokensMax: number;
  /** How deep values lie in each other, as the parser counts: a key within a section takes two or three. */
  readonly depthMax: number;
  /** Values of the tree; what aliases repeat counts each time. */
  readonly nodesMax: number;
}

export interface YamlTree {
  readonly root: ConfigNode;
  /** Of the syntax, at most one a line; without any, the tree is all that the file says. */
  readonly mistakes: readonly Mistake[];
}

/** Reads `text`; what cannot be read is a mistake with its place and is missing from the tree. Throws nothing. */
export function yamlTree(text: string, limits: YamlLimits): YamlTree {
  const lines = new LineCounter();
  lines.addNewLine(0);
  const source = new YamlSource(lines);
  const tokens = readTokens(source, text, lines, limits);
  const contents = tokens && composed(source, tokens, text.length);
  return { root: copyNode(contents ?? null, source, limits), mistakes: source.mistakes };
}

/** The places of a text and the mistakes found in it. */
class YamlSource {
  readonly mistakes: Mistake[] = [];
  readonly #lines: LineCounter;
  readonly #wrongLines = new Set<number>();

  constructor(lines: LineCounter) {
    this.#lines = lines;
  }

  /** The line and column of a character of the text, given by its offset from 0. */
  place(offset: number): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** Notes a mistake. The first of a line stands: what follows on the same line mostly follows from it. */
  mistake(offset: number, message: string, code: "syntax" | "limit" = "syntax"): void {
    const place = this.place(offset);
    if (this.#wrongLines.has(place.line)) return;
    this.#wrongLines.add(place.line);
    this.mistakes.push({ ...place, path: "", code, message });
  }
}

function readTokens(
  source: YamlSource,
  text: string,
  lines: LineCounter,
  limits: YamlLimits,
): CST.Token[] | null {
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  let count = 0;
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) tokens.push(token);
    count++;
    const tooDeep = parser.stack.length > limits.depthMax;
    if (!tooDeep && count <= limits.tokensMax) continue;
    const what = tooDeep ? "nested too deep" : `more than ${limits.tokensMax} words and marks`;
    source.mistake(parser.offset, `${what}: the file was not read`, "limit");
    return null;
  }
  for (const token of parser.end()) tokens.push(token);
  return tokens;
}

function composed(source: YamlSource, tokens: CST.Token[], length: number) {
  const composer = new Composer({ schema: "core", uniqueKeys: false, logLevel: "silent" });
  const documents: Iterable<Document.Parsed> = composer.compose(tokens, true, length);
  const [document, second] = documents;
  if (!document) return null;
  for (const error of [...document.errors, ...document.warnings]) {
    source.mistake(error.pos[0], inOurWords[error.code] ?? `not valid YAML: ${error.message}`);
  }
  for (const token of tokens) {
    if (token.type === "directive")
      source.mistake(token.offset, "directives (%) mean nothing here");
  }
  if (second) {
    source.mistake(second.range[0], "a second document begins here: one file holds one");
  }
  return document.contents;
}

const secondColon =
  "not valid YAML: a second key or colon on the line; put text with a colon in quotes";

const inOurWords: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: "not valid YAML: indent with spaces, not with tabs",
  TAG_RESOLVE_FAILED: "tags (!) mean nothing here: put text in quotes instead",
  BAD_DIRECTIVE: "directives (%) mean nothing here",
  BLOCK_AS_IMPLICIT_KEY: secondColon,
  BLOCK_IN_FLOW: secondColon,
};
