import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import * as api from '../../src/api/endpoints'
import { watchPresence } from '../../src/api/presence'

const MINUTE = 60_000
let stop = () => undefined as void

const pointer = (x: number) =>
  dispatchEvent(new MouseEvent('pointermove', { screenX: x, screenY: 1 }) as unknown as Event)

async function marked(): Promise<boolean> {
  await api.systemState()
  const asked = vi.mocked(fetch).mock.lastCall?.[0] as Request
  return asked.headers.get('aegis-unattended') === '1'
}

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal(
    'fetch',
    vi.fn(() => Promise.resolve(new Response('{}'))),
  )
  stop = watchPresence()
})

afterEach(() => {
  stop()
  vi.useRealTimers()
})

describe('a request', () => {
  it('says that nobody has touched the page for a while, and no longer once somebody does', async () => {
    expect(await marked()).toBe(false)
    vi.advanceTimersByTime(2 * MINUTE)
    expect(await marked()).toBe(true)
    dispatchEvent(new KeyboardEvent('keydown', { key: 'a' }))
    expect(await marked()).toBe(false)
  })

  it('does not take a pointer that rests for somebody', async () => {
    pointer(5)
    vi.advanceTimersByTime(MINUTE)
    pointer(5)
    vi.advanceTimersByTime(MINUTE)
    expect(await marked()).toBe(true)
    pointer(6)
    expect(await marked()).toBe(false)
  })
})
