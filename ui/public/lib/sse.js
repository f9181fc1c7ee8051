// Server-sent events, text in and events out. Incremental: a chunk may end anywhere, even between CR and LF.

/** @typedef {{ data: string } | { comment: string }} SseItem */

/** A line longer than this is not an event stream that a chat answer could be. */
const LONGEST_LINE = 8 * 1024 * 1024;

export class SseDecoder {
  #rest = '';
  /** @type {string[]} */
  #data = [];
  #start = true;

  /**
   * Take decoded text, give back every event and comment that is now complete.
   * @param {string} text
   * @returns {SseItem[]}
   * @throws {RangeError} when a single line outgrows the bound
   */
  feed(text) {
    if (this.#start && text) {
      this.#start = false;
      if (text.startsWith('\uFEFF')) text = text.slice(1);
    }
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LONGEST_LINE) throw new RangeError('event stream line too long');
    /** @type {SseItem[]} */
    const items = [];
    for (const line of lines) this.#line(line, items);
    return items;
  }

  /** @param {string} line @param {SseItem[]} items */
  #line(line, items) {
    if (line === '') {
      if (this.#data.length) items.push({ data: this.#data.join('\n') });
      this.#data = [];
    } else if (line.startsWith(':')) {
      items.push({ comment: line.slice(1).trim() });
    } else if (line === 'data' || line.startsWith('data:')) {
      this.#data.push(line.slice(5).replace(/^ /, ''));
    }
  }
}
