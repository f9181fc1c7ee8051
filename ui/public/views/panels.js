// The screens that stand where the chat will be: sign-in, loading, trouble, and how to get a first model.

import { make, stamp } from '../lib/dom.js';
import { problemDetail, problemText } from './problem-text.js';

/** @typedef {import('./shell.js').Mount} Mount */

/** @type {Mount} */
export function mountSignIn(place, { store, signIn, t }) {
  const { element, part } = stamp('tpl-sign-in', t);
  const key = part('key', HTMLInputElement);
  const problem = part('problem', HTMLElement);
  place.append(element);

  const { signInProblem } = store.get();
  problem.hidden = signInProblem === null;
  if (signInProblem) problem.textContent = t('signIn.refused');

  part('form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    const text = key.value.trim();
    part('field-problem', HTMLElement).textContent = text ? '' : t('signIn.empty');
    if (text) void signIn.signIn(text, part('remember', HTMLInputElement).checked);
    else key.focus();
  });
  return () => undefined;
}

/** @type {Mount} */
export function mountLoading(place, { t }) {
  place.append(stamp('tpl-loading', t).element);
  return () => undefined;
}

/** @type {Mount} */
export function mountTrouble(place, { store, signIn, t }) {
  const { element, part } = stamp('tpl-trouble', t);
  const { modelsProblem } = store.get();
  if (modelsProblem) {
    const detail = problemDetail(modelsProblem, t);
    part('problem', HTMLElement).append(problemText(modelsProblem, t), ...(detail ? [make('br', ''), detail] : []));
  }
  part('again', HTMLButtonElement).addEventListener('click', () => void signIn.loadModels());
  part('sign-out', HTMLButtonElement).addEventListener('click', () => signIn.signOut());
  place.append(element);
  return () => undefined;
}

/** @type {Mount} */
export function mountSetup(place, { store, signIn, local, t }) {
  const { element, part } = stamp('tpl-setup', t);
  const again = part('again', HTMLButtonElement);
  again.addEventListener('click', async () => {
    again.disabled = true;
    await Promise.all([signIn.loadModels(), local.look()]);
    again.disabled = false;
  });

  function draw() {
    const reasons = [...new Set((store.get().models ?? []).map((model) => model.reason).filter(Boolean))];
    part('reasons', HTMLElement).hidden = reasons.length === 0;
    part('reason-list', HTMLElement).replaceChildren(...reasons.map((reason) => make('li', '', reason)));
    const lacksEngine = store.get().local?.lacksEngine ?? false;
    part('engine', HTMLElement).hidden = !lacksEngine;
    part('local-text', HTMLElement).hidden = lacksEngine;
  }

  place.append(element);
  draw();
  void local.look();
  return store.subscribe((state, before) => {
    if (state.models !== before.models || state.local !== before.local) draw();
  });
}
