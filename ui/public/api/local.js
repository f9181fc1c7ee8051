// GET /status: how the models on this machine are just now.

import { decode } from './http.js';

/** @typedef {import('./http.js').Http} Http */
/** @typedef {'loading' | 'ready' | 'failed' | 'unloaded'} LocalModelState `unloaded`: loaded when somebody asks for it */
/**
 * What only a loaded model has is null before. Speeds are of all callers together, over the last seconds.
 * @typedef {{
 *   name: string,
 *   label: string,
 *   state: LocalModelState,
 *   reason: string,
 *   slots: number | null,
 *   busy: number | null,
 *   waiting: number | null,
 *   writesPerSecond: number | null,
 *   readsPerSecond: number | null,
 *   loadSeconds: number | null,
 *   memoryBytes: number | null,
 * }} LocalModel
 */
/** `lacksEngine`: the local service runs, and has nothing to run a model with. @typedef {{ lacksEngine: boolean, models: LocalModel[] }} LocalStatus */

/**
 * @param {Http} http
 * @returns {Promise<LocalStatus>}
 */
export async function readLocalStatus(http) {
  const response = await http.get('/status');
  const body = decode(await response.text());
  /** @type {any[]} */
  const services = Object.values(body?.local_model?.services ?? {});
  return {
    lacksEngine: services.some((service) => service.engine === false),
    models: services.filter((service) => service.engine).flatMap((service) => service.models.map(toModel)),
  };
}

/** @param {any} row @returns {LocalModel} */
function toModel(row) {
  return {
    name: row.name,
    label: row.label ?? '',
    state: ['loading', 'ready', 'failed'].includes(row.state) ? row.state : 'unloaded',
    reason: row.reason ?? '',
    slots: row.slots ?? null,
    busy: row.busy ?? null,
    waiting: row.queue ?? null,
    writesPerSecond: row.tokens_per_second ?? null,
    readsPerSecond: row.prompt_tokens_per_second ?? null,
    loadSeconds: row.load_seconds ?? null,
    memoryBytes: row.memory_bytes ?? null,
  };
}
