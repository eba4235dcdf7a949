/** The API's client, typed by its own OpenAPI: same origin, JSON both ways, and a `Problem` for every other outcome. */

import createClient from 'openapi-fetch'
import { unattended } from './presence'
import { Problem } from './problem'
import type { paths } from './schema'

export const V1 = '/api/v1'

export const http = createClient<paths>({
  baseUrl: globalThis.location.origin,
  headers: { accept: 'application/json' },
  // The fetch of the moment of the call, not the one of the import.
  fetch: (request) => {
    if (unattended()) request.headers.set('aegis-unattended', '1')
    return fetch(request)
  },
})

interface Outcome {
  data?: unknown
  error?: unknown
  response: Response
}

/** The answer's body as `Body`, which `types.ts` says more exactly than the OpenAPI can; raises `Problem`. */
export async function answer<Body>(asked: Promise<Outcome>): Promise<Body> {
  const { data, error, response } = await asked.catch((reason: unknown) => {
    if (reason instanceof DOMException && reason.name === 'AbortError') throw reason
    throw Problem.unreachable()
  })
  if (!response.ok) throw Problem.of(response.status, error)
  return data as Body
}
