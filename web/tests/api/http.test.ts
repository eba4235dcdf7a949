import { describe, expect, it, vi } from 'vitest'
import * as api from '../../src/api/endpoints'
import { Problem, asProblem } from '../../src/api/problem'

const answering = (status: number, body: string) =>
  vi.stubGlobal('fetch', vi.fn().mockResolvedValue(new Response(body, { status })))
const asked = () => vi.mocked(fetch).mock.calls[0]?.[0] as Request

describe('a request', () => {
  it('gives the body of a good answer and leaves out filters that are not set', async () => {
    answering(200, '{"items":[],"next_cursor":null}')
    expect(await api.incidents({ state: 'open', cursor: undefined, limit: 50 })).toEqual({
      items: [],
      next_cursor: null,
    })
    expect(asked().url).toMatch(/\/api\/v1\/incidents\?state=open&limit=50$/)
  })

  it('keeps an id from outside inside its place in the path', async () => {
    answering(200, '{}')
    await api.incident('../state?x=1')
    expect(new URL(asked().url).pathname).toBe('/api/v1/incidents/..%2Fstate%3Fx%3D1')
  })

  it('turns a problem document into a problem with its code, hint and request id', async () => {
    answering(409, '{"code":"plan_changed","detail":"The plan changed.","hint":"Look again.","request_id":"req_1"}')
    const problem = await api.approve('rem_1', 'aa').catch(asProblem)
    expect(problem).toMatchObject({
      status: 409,
      code: 'plan_changed',
      message: 'The plan changed.',
      hint: 'Look again.',
      requestId: 'req_1',
    })
  })

  it('does not choke on an answer that is no JSON, as a proxy gives', async () => {
    answering(502, '<html>Bad gateway</html>')
    expect(await api.systemState().catch(asProblem)).toMatchObject({ status: 502, code: 'http_502' })
  })

  it('says that nothing is known when no answer came', async () => {
    vi.stubGlobal('fetch', vi.fn().mockRejectedValue(new TypeError('Failed to fetch')))
    await expect(api.systemState()).rejects.toMatchObject({ status: 0, code: 'unreachable' })
  })

  it('passes on that the page itself gave up waiting', async () => {
    vi.stubGlobal('fetch', vi.fn().mockRejectedValue(new DOMException('aborted', 'AbortError')))
    await expect(api.systemState(new AbortController().signal)).rejects.not.toBeInstanceOf(Problem)
  })
})
