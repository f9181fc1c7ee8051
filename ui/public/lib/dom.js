// Markup lives in the page's <template> elements; this stamps copies of it and finds their named parts.

/** @typedef {import('./i18n.js').Translate} Translate */
/** @typedef {import('./i18n.js').TextKey} TextKey */

/**
 * A copy of a template's one element, in the language of `t`. `part(name, type)` is its element with that `data-part`.
 * @param {string} id
 * @param {Translate} t
 */
export function stamp(id, t) {
  const template = document.getElementById(id);
  if (!(template instanceof HTMLTemplateElement)) throw new Error(`no template ${id}`);
  const element = template.content.firstElementChild?.cloneNode(true);
  if (!(element instanceof HTMLElement)) throw new Error(`template ${id} is empty`);
  translateTexts(element, t);
  return { element, part: partsOf(element) };
}

/** @param {Element} root */
export function partsOf(root) {
  /**
   * @template {Element} E
   * @param {string} name
   * @param {new () => E} type
   * @returns {E}
   */
  return (name, type) => {
    const selector = `[data-part="${name}"]`;
    const found = root.matches(selector) ? root : root.querySelector(selector);
    if (!(found instanceof type)) throw new Error(`no part ${name}`);
    return found;
  };
}

const TEXT_ATTRIBUTES = /** @type {const} */ ([
  ['data-t-label', 'aria-label'],
  ['data-t-title', 'title'],
  ['data-t-placeholder', 'placeholder'],
]);

/**
 * Fill `data-t` (text), `data-t-label`, `data-t-title` and `data-t-placeholder` of an element and all below it.
 * @param {Element} root
 * @param {Translate} t
 */
export function translateTexts(root, t) {
  for (const element of [root, ...root.querySelectorAll('*')]) {
    const text = element.getAttribute('data-t');
    if (text) element.textContent = t(/** @type {TextKey} */ (text));
    for (const [source, target] of TEXT_ATTRIBUTES) {
      const key = element.getAttribute(source);
      if (key) element.setAttribute(target, t(/** @type {TextKey} */ (key)));
    }
  }
}

/**
 * A new element with a class and a text.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} className
 * @param {string} [text]
 */
export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/**
 * Run `draw` at most once per animation frame, however often it is asked for.
 * @param {() => void} draw
 * @returns {{ ask: () => void, cancel: () => void }}
 */
export function oncePerFrame(draw) {
  let frame = 0;
  return {
    ask: () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        draw();
      });
    },
    cancel: () => {
      cancelAnimationFrame(frame);
      frame = 0;
    },
  };
}
