// What the page remembers, and where: the key and the conversation for this tab only, taste for this browser. Storage
// may be full, switched off or written by another version: then the page just starts fresh.

import { LANGUAGES } from '../lib/i18n.js';
import { toKeep } from './conversation.js';

/** @typedef {import('./store.js').State} State */
/** @typedef {import('./conversation.js').Message} Message */
/** @typedef {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} Shelf */

const KEY = 'tollgate.key';
const TASTE = 'tollgate.taste';
const CHAT = 'tollgate.chat.1';

/** Characters of conversation kept; browsers give sessionStorage about five million. */
const CHAT_LIMIT = 1_500_000;

/** @typedef {ReturnType<typeof createStorage>} PageStorage */

/** @param {{ session: Shelf | null, local: Shelf | null }} shelves null: not allowed here */
export function createStorage({ session, local }) {
  return {
    /** @returns {{ key: string | null, remembered: boolean }} */
    readKey() {
      const remembered = read(local, KEY);
      return { key: remembered ?? read(session, KEY), remembered: remembered !== null };
    },
    /** Keep the key in exactly one place, or (null) nowhere. @param {string | null} key @param {boolean} remember */
    writeKey(key, remember) {
      write(local, KEY, remember ? key : null);
      write(session, KEY, remember ? null : key);
    },
    /** @returns {Partial<Pick<State, 'lang' | 'theme' | 'model'>>} */
    readTaste() {
      const taste = readJson(local, TASTE);
      return {
        ...(LANGUAGES.includes(taste?.lang) && { lang: taste.lang }),
        ...(['light', 'dark'].includes(taste?.theme) && { theme: taste.theme }),
        ...(typeof taste?.model === 'string' && { model: taste.model }),
      };
    },
    /** @param {Partial<Pick<State, 'lang' | 'theme' | 'model'>>} taste */
    writeTaste(taste) {
      write(local, TASTE, JSON.stringify({ ...readJson(local, TASTE), ...taste }));
    },
    /** @returns {Partial<Pick<State, 'messages' | 'settings' | 'draft'>>} */
    readChat() {
      const chat = readJson(session, CHAT);
      return Array.isArray(chat?.messages) && chat.settings ? chat : {};
    },
    /** @param {Pick<State, 'messages' | 'settings' | 'draft'>} chat */
    writeChat({ messages, settings, draft }) {
      write(session, CHAT, JSON.stringify({ messages: toKeep(messages, CHAT_LIMIT), settings, draft }));
    },
  };
}

/** @param {Shelf | null} shelf @param {string} name */
function read(shelf, name) {
  return shelf?.getItem(name) ?? null;
}

/** @param {Shelf | null} shelf @param {string} name @returns {any} */
function readJson(shelf, name) {
  try {
    return JSON.parse(read(shelf, name) ?? 'null');
  } catch {
    return null;
  }
}

/** @param {Shelf | null} shelf @param {string} name @param {string | null} value null removes it */
function write(shelf, name, value) {
  try {
    if (value === null) shelf?.removeItem(name);
    else shelf?.setItem(name, value);
  } catch {
    // Full, or closed by the browser's settings: the page works on without its memory.
  }
}

/**
 * A browser's storage, or null where the browser forbids it (the mere access throws then).
 * @param {'sessionStorage' | 'localStorage'} name
 * @returns {Shelf | null}
 */
export function openShelf(name) {
  try {
    return globalThis[name];
  } catch {
    return null;
  }
}
