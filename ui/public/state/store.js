// The page's one store: get, set, subscribe. State is replaced, never changed in place.

/** @typedef {import('../lib/i18n.js').Lang} Lang */
/** @typedef {import('../api/models.js').Model} Model */
/** @typedef {import('../api/local.js').LocalStatus} LocalStatus */
/** @typedef {import('./conversation.js').Message} Message */
/** @typedef {import('./conversation.js').Problem} Problem */
/** @typedef {'system' | 'light' | 'dark'} Theme */
/** @typedef {{ system: string, temperature: number | null, maxTokens: number | null }} Settings null: the model's own */
/**
 * @typedef {{
 *   lang: Lang,
 *   theme: Theme,
 *   key: string | null,
 *   remembered: boolean,
 *   signInProblem: Problem | null,
 *   models: Model[] | null,
 *   modelsProblem: Problem | null,
 *   model: string | null,
 *   local: LocalStatus | null,
 *   settings: Settings,
 *   settingsOpen: boolean,
 *   messages: Message[],
 *   draft: string,
 * }} State
 */

/** @typedef {ReturnType<typeof createStore>} Store */

/** @param {State} initial */
export function createStore(initial) {
  let state = initial;
  /** @type {Set<(state: State, before: State) => void>} */
  const listeners = new Set();
  return {
    get: () => state,
    /** @param {Partial<State>} patch */
    set(patch) {
      const before = state;
      state = { ...state, ...patch };
      for (const listener of [...listeners]) listener(state, before);
    },
    /** @param {(state: State, before: State) => void} listener @returns {() => void} ends the subscription */
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The model that is picked, when the catalogue holds it. @param {State} state */
export function pickedModel(state) {
  return state.models?.find((model) => model.id === state.model) ?? null;
}

/** Whether an answer is on its way. @param {State} state */
export function isAnswering(state) {
  return state.messages.some((message) => message.role === 'assistant' && message.status === 'running');
}
