// Pick a model: a button, and a searchable list in a popover (combobox with a listbox, as in the ARIA practices).

import { make, stamp } from '../lib/dom.js';
import { pickedModel } from '../state/store.js';
import { modelFacts, modelName, providerName } from './model-text.js';

/** @typedef {import('../api/models.js').Model} Model */
/** @typedef {import('../lib/i18n.js').Translate} Translate */
/** @typedef {import('./shell.js').Mount} Mount */

/** @type {Mount} */
export function mountModelPicker(place, { store, storage, t }) {
  const { element, part } = stamp('tpl-picker', t);
  const button = part('button', HTMLButtonElement);
  const panel = part('panel', HTMLElement);
  const search = part('search', HTMLInputElement);
  const list = part('list', HTMLElement);
  const empty = part('empty', HTMLElement);
  /** @type {HTMLElement[]} */
  let options = [];
  let active = -1;

  /** @param {Event} event */
  function onToggle(event) {
    if (!(event instanceof ToggleEvent) || event.newState !== 'open') return;
    search.value = '';
    drawList();
    const picked = options.findIndex((option) => option.dataset.id === store.get().model);
    activate(Math.max(0, picked), 'center');
    search.focus();
  }

  function moveToButton() {
    const { left, bottom } = button.getBoundingClientRect();
    panel.style.setProperty('--picker-left', `${Math.round(left)}px`);
    panel.style.setProperty('--picker-top', `${Math.round(bottom)}px`);
  }

  function drawList() {
    const found = matching(store.get().models ?? [], search.value, t);
    list.replaceChildren(...groupsOf(found).map((group) => drawGroup(group, store.get().model, t)));
    options = [...list.querySelectorAll('[role="option"]')].filter((option) => option instanceof HTMLElement);
    empty.hidden = found.length > 0;
    empty.textContent = t('picker.noMatch', { query: search.value });
    part('count', HTMLElement).textContent = t('picker.found', { count: found.length });
    const query = search.value.trim().toLowerCase();
    const begun = options.findIndex((option) => option.textContent?.toLowerCase().startsWith(query));
    activate(options.length ? Math.max(0, begun) : -1, 'nearest');
  }

  /** @param {number} index @param {ScrollLogicalPosition} block */
  function activate(index, block) {
    options[active]?.classList.remove('active');
    active = index;
    const option = options[index];
    option?.classList.add('active');
    // The first option's heading comes into view with it.
    if (index === 0) list.scrollTop = 0;
    else option?.scrollIntoView({ block });
    if (option) search.setAttribute('aria-activedescendant', option.id);
    else search.removeAttribute('aria-activedescendant');
  }

  /** @param {HTMLElement | undefined} option */
  function choose(option) {
    const id = option?.dataset.id;
    if (!id || option.getAttribute('aria-disabled') === 'true') return;
    storage.writeTaste({ model: id });
    store.set({ model: id });
    panel.hidePopover();
    (document.getElementById('prompt') ?? button).focus();
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.isComposing) return;
    const last = options.length - 1;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => activate(active >= last ? 0 : active + 1, 'nearest'),
      ArrowUp: () => activate(active <= 0 ? last : active - 1, 'nearest'),
      PageDown: () => activate(Math.min(last, active + 8), 'nearest'),
      PageUp: () => activate(Math.max(Math.min(0, last), active - 8), 'nearest'),
      Enter: () => choose(options[active]),
    };
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  function drawButton() {
    const state = store.get();
    const model = pickedModel(state);
    place.hidden = !state.models?.some((candidate) => candidate.available);
    part('name', HTMLElement).textContent = model ? modelName(model) : t('picker.none');
    part('provider', HTMLElement).textContent = model ? providerName(model.provider, t) : '';
    button.title = model?.id ?? '';
  }

  panel.addEventListener('beforetoggle', moveToButton);
  panel.addEventListener('toggle', onToggle);
  search.addEventListener('input', drawList);
  search.addEventListener('keydown', onKey);
  list.addEventListener('click', (event) => choose(optionAt(event)));
  list.addEventListener('pointermove', (event) => {
    const index = options.indexOf(/** @type {HTMLElement} */ (optionAt(event)));
    if (index >= 0 && index !== active) activate(index, 'nearest');
  });
  // The focus stays in the search field, where the keys are heard.
  list.addEventListener('mousedown', (event) => event.preventDefault());

  place.append(element);
  drawButton();
  return store.subscribe((state, before) => {
    if (state.models !== before.models || state.model !== before.model) drawButton();
  });
}

/** @param {Event} event */
function optionAt(event) {
  const option = event.target instanceof Element ? event.target.closest('[role="option"]') : null;
  return option instanceof HTMLElement ? option : undefined;
}

/**
 * The models whose id or provider holds every word of the query.
 * @param {Model[]} models @param {string} query @param {Translate} t
 */
function matching(models, query, t) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return models.filter((model) => {
    const text = `${model.id} ${model.provider} ${providerName(model.provider, t)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** @typedef {{ provider: string, models: Model[], reason: string }} Group `reason` when it is the same for all of them */

/** By provider, usable providers and usable models first, else in the gateway's order. @param {Model[]} models @returns {Group[]} */
function groupsOf(models) {
  const providers = [...new Set(models.map((model) => model.provider))];
  const groups = providers.map((provider) => {
    const own = models.filter((model) => model.provider === provider).toSorted(availableFirst);
    const [first] = own;
    const isShared = first && !first.available && own.every((model) => model.reason === first.reason);
    return { provider, models: own, reason: isShared ? first.reason : '' };
  });
  return groups.toSorted((one, other) => Number(isUsable(other)) - Number(isUsable(one)));
}

/** @param {Model} one @param {Model} other */
function availableFirst(one, other) {
  return Number(other.available) - Number(one.available);
}

/** @param {Group} group */
function isUsable(group) {
  return group.models.some((model) => model.available);
}

/** @param {Group} group @param {string | null} picked @param {Translate} t */
function drawGroup(group, picked, t) {
  const box = make('div', 'picker-group');
  const heading = make('div', 'picker-heading', providerName(group.provider, t));
  heading.id = `picker-group-${group.provider}`;
  heading.setAttribute('role', 'presentation');
  box.setAttribute('role', 'group');
  box.setAttribute('aria-labelledby', heading.id);
  box.append(heading);
  if (group.reason) {
    const reason = make('div', 'picker-reason', group.reason);
    reason.id = `picker-reason-${group.provider}`;
    reason.setAttribute('role', 'presentation');
    box.append(reason);
  }
  box.append(...group.models.map((model) => drawOption(model, group, model.id === picked, t)));
  return box;
}

/** @param {Model} model @param {Group} group @param {boolean} isPicked @param {Translate} t */
function drawOption(model, group, isPicked, t) {
  const option = make('div', 'picker-option');
  const facts = modelFacts(model, t);
  option.id = `picker-option-${model.id}`;
  option.dataset.id = model.id;
  option.setAttribute('role', 'option');
  option.setAttribute('aria-selected', String(isPicked));
  option.append(make('span', 'picker-option-name', modelName(model)));
  if (model.available) {
    const size = make('span', 'picker-option-size', facts.size);
    const price = make('span', 'picker-option-price', facts.price);
    for (const sighted of [size, price]) sighted.setAttribute('aria-hidden', 'true');
    option.append(size, price, make('span', 'visually-hidden', `, ${facts.words}`));
    if (model.label) option.append(make('span', 'picker-option-label', model.label));
  } else {
    option.setAttribute('aria-disabled', 'true');
    const reason = `${t('picker.unavailable')}: ${model.reason}`;
    option.append(make('span', group.reason ? 'visually-hidden' : 'picker-option-reason', group.reason ? `, ${reason}` : model.reason));
    option.title = reason;
  }
  return option;
}
