// GET /v1/models: the catalogue of what is configured.

import { ApiError, decode } from './http.js';

/** @typedef {import('./http.js').Http} Http */
/** @typedef {import('../lib/money.js').Pricing} Pricing */
/**
 * @typedef {{
 *   id: string,
 *   provider: string,
 *   available: boolean,
 *   reason: string,
 *   contextWindow: number | null,
 *   maxOutput: number | null,
 *   pricing: Pricing | null,
 *   label: string,
 * }} Model
 */

/**
 * @param {Http} http
 * @returns {Promise<Model[]>} in the gateway's order
 */
export async function listModels(http) {
  const response = await http.get('/v1/models');
  const body = decode(await response.text());
  if (!Array.isArray(body?.data)) throw new ApiError({ status: 502 });
  return body.data.map(toModel);
}

/** @param {any} row @returns {Model} */
function toModel(row) {
  return {
    id: row.id,
    provider: row.owned_by ?? '',
    available: row.available !== false,
    reason: row.unavailable_reason ?? '',
    contextWindow: row.context_window ?? null,
    maxOutput: row.max_output_tokens ?? null,
    pricing: row.pricing ?? null,
    label: row.label ?? '',
  };
}
