// How providers, models and prices are called on the page.

import { price, windowSize } from '../lib/format.js';

/** @typedef {import('../api/models.js').Model} Model */
/** @typedef {import('../lib/i18n.js').Translate} Translate */

/** @type {Record<string, string>} */
const PROVIDERS = {
  openai: 'OpenAI',
  anthropic: 'Anthropic',
  claude: 'Anthropic Claude',
  gemini: 'Google Gemini',
  solar: 'Upstage SOLAR',
  upstage: 'Upstage SOLAR',
  groq: 'Groq',
  mistral: 'Mistral',
  deepseek: 'DeepSeek',
  together: 'Together',
  openrouter: 'OpenRouter',
  xai: 'xAI',
  ollama: 'Ollama',
  vllm: 'vLLM',
  azure: 'Azure',
};

/** @param {string} provider @param {Translate} t */
export function providerName(provider, t) {
  return provider === 'local' ? t('picker.local') : (PROVIDERS[provider] ?? provider);
}

/** A model's name under its provider's heading: without the provider in front. @param {Pick<Model, 'id' | 'provider'>} model */
export function modelName({ id, provider }) {
  const prefix = id.slice(0, provider.length + 1);
  const isPrefixed = prefix === `${provider}:` || prefix === `${provider}/`;
  return isPrefixed && id.length > prefix.length ? id.slice(prefix.length) : id;
}

/** Short facts for the eye and the same in words for the ear. @param {Model} model @param {Translate} t */
export function modelFacts({ contextWindow, pricing }, t) {
  const size = contextWindow === null ? '' : windowSize(contextWindow);
  const prices = priceFacts(pricing, t);
  const words = [size && t('picker.context', { size }), prices.words].filter(Boolean).join(', ');
  return { size, price: prices.price, words };
}

/** @param {Model['pricing']} pricing @param {Translate} t */
function priceFacts(pricing, t) {
  const pair = [pricing?.input_price_per_million, pricing?.output_price_per_million];
  if (pair.every((amount) => amount === null || amount === undefined)) return same(t('picker.noPrice'));
  if (pair.every((amount) => Number(amount ?? 0) === 0)) return same(t('picker.free'));
  const [input = '', output = ''] = pair.map((amount) => price(amount ?? 0));
  return { price: `${input} / ${output}`, words: t('picker.price', { input, output }) };
}

/** @param {string} words */
function same(words) {
  return { price: words, words };
}
