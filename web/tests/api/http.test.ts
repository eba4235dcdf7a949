import { describe, expect, it, vi } from 'vitest'
import { request } from '../../src/api/http'
import { Problem, asProblem } from '../../src/api/problem'

const answering = (status: number, body: string) =>
  vi.stubGlobal('fetch', vi.fn().mockResolvedValue(new Response(body, { status })))

describe('a request', () => {
  it('gives the body of a good answer and leaves out filters that are not set', async () => {
    answering(200, '{"items":[]}')
    expect(await request('GET', '/incidents', { query: { state: 'open', cursor: undefined, q: '' } })).toEqual({
      items: [],
    })
    expect(vi.mocked(fetch).mock.calls[0]?.[0]).toBe('/api/v1/incidents?state=open')
  })

  it('turns a problem document into a problem with its code, hint and request id', async () => {
    answering(409, '{"code":"plan_changed","detail":"The plan changed.","hint":"Look again.","request_id":"req_1"}')
    const problem = await request('POST', '/x', { body: {} }).catch(asProblem)
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
    const problem = await request('GET', '/state').catch(asProblem)
    expect(problem).toMatchObject({ status: 502, code: 'http_502' })
  })

  it('says that nothing is known when no answer came', async () => {
    vi.stubGlobal('fetch', vi.fn().mockRejectedValue(new TypeError('Failed to fetch')))
    await expect(request('GET', '/state')).rejects.toMatchObject({ status: 0, code: 'unreachable' })
  })

  it('passes on that the page itself gave up waiting', async () => {
    const gone = new AbortController()
    gone.abort()
    vi.stubGlobal('fetch', vi.fn().mockRejectedValue(new DOMException('aborted', 'AbortError')))
    await expect(request('GET', '/state', { signal: gone.signal })).rejects.not.toBeInstanceOf(Problem)
  })
})
