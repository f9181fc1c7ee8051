// The one fetch wrapper. Every failure leaves here as an ApiError; an abort by the reader passes as it is.

/** @typedef {{ status: number, message: string, retryAfter: number | null, requestId: string | null }} ErrorFacts */

/** The gateway (or what stands before it) refused or failed. `status` 0: nothing answered at all. */
export class ApiError extends Error {
  /** @param {Partial<ErrorFacts>} facts `message` is the gateway's own, empty when none came; `retryAfter` in seconds */
  constructor(facts) {
    super(facts.message ?? '');
    this.status = facts.status ?? 0;
    this.retryAfter = facts.retryAfter ?? null;
    this.requestId = facts.requestId ?? null;
  }
}

/** A stream ended before its `[DONE]`: what came is not the whole answer. */
export class Truncated extends Error {}

/** @param {unknown} error */
export function isAbort(error) {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** @typedef {ReturnType<typeof createHttp>} Http */

/**
 * @param {{ fetch: typeof fetch, key: () => string | null }} parts `key` gives the virtual key of this moment
 */
export function createHttp({ fetch, key }) {
  /**
   * @param {string} path
   * @param {RequestInit} init
   * @returns {Promise<Response>} a response with an OK status
   * @throws {ApiError}
   */
  async function send(path, init) {
    const headers = new Headers(init.headers);
    const secret = key();
    if (secret) headers.set('Authorization', `Bearer ${secret}`);
    const response = await fetch(path, { ...init, headers, cache: 'no-store' }).catch((error) => {
      if (isAbort(error)) throw error;
      throw new ApiError({});
    });
    if (!response.ok) throw new ApiError(await factsOf(response));
    return response;
  }

  return {
    /** @param {string} path */
    get: (path) => send(path, {}),
    /** @param {string} path @param {unknown} body @param {AbortSignal} signal */
    post: (path, body, signal) =>
      send(path, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'Content-Type': 'application/json' },
        signal,
      }),
  };
}

/** @param {Response} response @returns {Promise<ErrorFacts>} */
async function factsOf(response) {
  const message = await response.json().then(messageOf, () => '');
  // A proxy's own 502, 503 or 504 page is not JSON: the gateway behind it is away.
  const isProxy = message === '' && response.status >= 502;
  const wait = Number(response.headers.get('retry-after'));
  return {
    status: isProxy ? 0 : response.status,
    message,
    retryAfter: wait > 0 ? Math.ceil(wait) : null,
    requestId: response.headers.get('x-request-id'),
  };
}

/**
 * The message of any of the gateway's error shapes, '' where there is none.
 * @param {any} body
 * @returns {string}
 */
export function messageOf(body) {
  for (const found of [body?.error?.message, body?.error, body?.detail, body?.detail?.[0]?.msg, body?.message]) {
    if (typeof found === 'string') return found;
  }
  return '';
}

/**
 * JSON that the gateway promised.
 * @param {string} text
 * @returns {any}
 * @throws {ApiError} when it is not JSON: something else answered in the gateway's place
 */
export function decode(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError({ status: 502 });
  }
}
