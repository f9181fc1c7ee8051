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
  const sizeWords = size && t('picker.context', { size });
  if (!pricing) return { size, price: t('picker.noPrice'), words: [sizeWords, t('picker.noPrice')].filter(Boolean).join(', ') };
  const input = price(pricing.input_price_per_million);
  const output = price(pricing.output_price_per_million);
  const isFree = Number(pricing.input_price_per_million) === 0 && Number(pricing.output_price_per_million) === 0;
  const words = isFree ? t('picker.free') : t('picker.price', { input, output });
  return { size, price: isFree ? t('picker.free') : `${input} / ${output}`, words: [sizeWords, words].filter(Boolean).join(', ') };
}
