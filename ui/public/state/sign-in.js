// The virtual key: out of the link's fragment, into storage, and the catalogue as the proof that it works.

import { ApiError } from '../api/http.js';

/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('./conversation.js').Problem} Problem */
/** @typedef {import('./storage.js').PageStorage} PageStorage */
/** @typedef {import('../api/models.js').Model} Model */

/** The key in `#key=gw-...`, or null. @param {string} hash */
export function keyInFragment(hash) {
  return new URLSearchParams(hash.replace(/^#/, '')).get('key')?.trim() || null;
}

/** @param {ApiError} error @returns {Problem} */
export function problemOf({ status, message, retryAfter, requestId }) {
  return { status, message, retryAfter, requestId };
}

/** @typedef {ReturnType<typeof createSignIn>} SignIn */

/**
 * @param {{ store: Store, storage: PageStorage, listModels: () => Promise<Model[]> }} parts
 */
export function createSignIn({ store, storage, listModels }) {
  /** Ask for the catalogue; a refused key signs out and says why. */
  async function loadModels() {
    const { key } = store.get();
    store.set({ modelsProblem: null });
    try {
      const models = await listModels();
      if (store.get().key === key) store.set({ models, model: modelToUse(models, store.get().model) });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (store.get().key === key) onRefusal(problemOf(error));
    }
  }

  /** @param {Problem} problem */
  function onRefusal(problem) {
    if (problem.status === 401) signOut(problem);
    else store.set({ modelsProblem: problem });
  }

  /** @param {string} key @param {boolean} remember keep it on this device, beyond this tab */
  function signIn(key, remember) {
    storage.writeKey(key, remember);
    store.set({ key, remembered: remember, signInProblem: null, models: null });
    return loadModels();
  }

  /** Forget the key, here and on the device. @param {Problem | null} [problem] */
  function signOut(problem = null) {
    storage.writeKey(null, false);
    store.set({ key: null, remembered: false, signInProblem: problem, models: null, local: null, settingsOpen: false });
  }

  /** @param {boolean} remember */
  function setRemembered(remember) {
    storage.writeKey(store.get().key, remember);
    store.set({ remembered: remember });
  }

  return { signIn, signOut, setRemembered, loadModels };
}

/**
 * The model picked before if it can still be used, else the first that can, one that is surely for chatting before others:
 * a catalogue also lists models for speech, images and vectors.
 * @param {Model[]} models
 * @param {string | null} picked
 */
function modelToUse(models, picked) {
  const usable = models.filter((model) => model.available);
  const isForChat = (/** @type {Model} */ model) => model.contextWindow !== null && model.maxOutput !== null;
  return (usable.find((model) => model.id === picked) ?? usable.find(isForChat) ?? usable[0])?.id ?? null;
}
