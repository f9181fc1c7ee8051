// The models on this machine, in the settings sheet: how each is, and how much it does. Asked only while the sheet is open.

import { make, stamp } from '../lib/dom.js';
import { count, megabytes, seconds } from '../lib/format.js';

/** @typedef {import('../api/local.js').LocalModel} LocalModel */
/** @typedef {import('../lib/i18n.js').Lang} Lang */
/** @typedef {import('../lib/i18n.js').Translate} Translate */
/** @typedef {import('./shell.js').Mount} Mount */

const STATES = /** @type {const} */ ({
  ready: 'local.ready',
  loading: 'local.loading',
  unloaded: 'local.unloaded',
  failed: 'local.failed',
});

/** @type {Mount} */
export function mountLocalModels(place, { store, local, t }) {
  const { element, part } = stamp('tpl-local-models', t);
  let stopWatching = () => {};

  function draw() {
    const { key, local: status, lang } = store.get();
    const models = (key !== null && status?.models) || [];
    element.hidden = models.length === 0;
    part('list', HTMLElement).replaceChildren(...models.map((model) => drawModel(model, lang, t)));
  }

  /** @param {boolean} isOpen */
  function follow(isOpen) {
    stopWatching();
    stopWatching = isOpen ? local.watch() : () => {};
  }

  place.append(element);
  draw();
  follow(store.get().settingsOpen);
  const unsubscribe = store.subscribe((state, before) => {
    if (state.settingsOpen !== before.settingsOpen) follow(state.settingsOpen);
    if (state.local !== before.local || state.key !== before.key) draw();
  });
  return () => {
    unsubscribe();
    stopWatching();
  };
}

/** @param {LocalModel} model @param {Lang} lang @param {Translate} t */
function drawModel(model, lang, t) {
  const item = make('li', 'local-model');
  item.append(make('h3', '', model.name));
  if (model.label) item.append(make('p', 'quiet', model.label));
  item.append(make('p', `local-state ${model.state}`, t(STATES[model.state])));
  if (model.reason) item.append(make('p', 'quiet', model.reason));
  const facts = factsOf(model, lang, t);
  if (facts.length === 0) return item;
  const list = make('dl', 'local-facts');
  for (const [label, value] of facts) {
    const pair = make('div', '');
    pair.append(make('dt', '', label), make('dd', '', value));
    list.append(pair);
  }
  item.append(list);
  return item;
}

/** @param {LocalModel} model @param {Lang} lang @param {Translate} t @returns {[string, string][]} only what is known */
function factsOf({ busy, slots, waiting, writesPerSecond, readsPerSecond, loadSeconds, memoryBytes }, lang, t) {
  const perSecond = (/** @type {number} */ speed) => t('meter.perSecond', { value: count(Math.round(speed), lang) });
  /** @type {[string, string | null][]} */
  const facts = [
    [t('local.busy'), slots === null ? null : t('local.busyOf', { busy: count(busy ?? 0, lang), slots: count(slots, lang) })],
    [t('local.waiting'), waiting === null ? null : count(waiting, lang)],
    [t('local.writes'), writesPerSecond === null ? null : perSecond(writesPerSecond)],
    [t('local.reads'), readsPerSecond === null ? null : perSecond(readsPerSecond)],
    [t('local.loadTime'), loadSeconds === null ? null : t('meter.seconds', { value: seconds(loadSeconds * 1000, lang) })],
    [t('local.memory'), memoryBytes === null ? null : `${megabytes(memoryBytes, lang)} MB`],
  ];
  return facts.flatMap(([label, value]) => (value === null ? [] : [[label, value]]));
}
