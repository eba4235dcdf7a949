/** One typed request to the API: same origin, JSON both ways, and a `Problem` for every other outcome. */

import { Problem } from './problem'

export const BASE = '/api/v1'

interface Asked {
  query?: Record<string, string | number | undefined>
  body?: unknown
  signal?: AbortSignal
}

/** The answer's body as `T`; raises `Problem`. A session cookie goes along by itself. */
export async function request<T>(method: 'GET' | 'POST' | 'PUT', path: string, asked: Asked = {}): Promise<T> {
  const response = await send(method, BASE + path + queryOf(asked.query), asked)
  const body = await bodyOf(response)
  if (!response.ok) throw Problem.of(response.status, body)
  return body as T
}

async function send(method: string, url: string, { body, signal }: Asked): Promise<Response> {
  const init: RequestInit = { method, credentials: 'same-origin', headers: { accept: 'application/json' } }
  if (signal) init.signal = signal
  if (body !== undefined) {
    init.body = JSON.stringify(body)
    init.headers = { accept: 'application/json', 'content-type': 'application/json' }
  }
  try {
    return await fetch(url, init)
  } catch (error) {
    if (signal?.aborted) throw error
    throw Problem.unreachable()
  }
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text()
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function queryOf(query: Asked['query'] = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '')
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : ''
}
