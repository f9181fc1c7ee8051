// How the models on this machine are: asked while somebody looks, and no longer.

import { ApiError } from '../api/http.js';

/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('../api/local.js').LocalStatus} LocalStatus */

const EVERY_MS = 3_000; // as often as the gateway asks

/** @typedef {ReturnType<typeof createLocal>} Local */

/** @param {{ store: Store, readStatus: () => Promise<LocalStatus>, isInSight: () => boolean }} parts */
export function createLocal({ store, readStatus, isInSight }) {
  /** Ask once. What cannot be told is not shown. */
  async function look() {
    const { key } = store.get();
    if (key === null) return;
    const local = await readStatus().catch((error) => {
      if (error instanceof ApiError) return null;
      throw error;
    });
    if (store.get().key === key) store.set({ local });
  }

  /** Ask again and again while the page is in sight. @returns {() => void} ends it */
  function watch() {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    let isWatched = true;
    async function next() {
      if (isInSight()) await look();
      if (isWatched) timer = setTimeout(next, EVERY_MS);
    }
    void next();
    return () => {
      isWatched = false;
      clearTimeout(timer);
    };
  }

  return { look, watch };
}
