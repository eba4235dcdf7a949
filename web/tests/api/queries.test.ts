import { QueryClient } from '@tanstack/react-query'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { refresher } from '../../src/api/queries'

let stale: string[]
let client: QueryClient

beforeEach(() => {
  vi.useFakeTimers()
  stale = []
  client = new QueryClient()
  vi.spyOn(client, 'invalidateQueries').mockImplementation(async (filters) => {
    stale.push((filters?.queryKey ?? []).join(' '))
  })
})

afterEach(() => {
  vi.useRealTimers()
})

describe('what events make stale', () => {
  it('is read again once for all that come within a moment', () => {
    const { changed } = refresher(client)
    for (let number = 0; number < 500; number += 1) changed('alert', `alr_${number}`)
    vi.runAllTimers()
    expect(stale.toSorted()).toEqual(['incident', 'incidents', 'state', 'waiting'])
    changed('state', null)
    vi.runAllTimers()
    expect(stale).toHaveLength(5)
  })

  it('is one incident where an event names it', () => {
    refresher(client).changed('incident', 'inc_1')
    vi.runAllTimers()
    expect(stale).toContain('incident inc_1')
    expect(stale).not.toContain('incident')
  })

  it('is not read any more when nobody listens', () => {
    const { changed, stop } = refresher(client)
    changed('state', null)
    stop()
    vi.runAllTimers()
    expect(stale).toEqual([])
  })
})
