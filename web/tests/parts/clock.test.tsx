import { act, screen } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { clock, heardTime, moment } from '../../src/parts/clock'
import { Ago } from '../../src/parts/Time'
import { show } from '../render'
import { user } from '../samples'

const HERE = new Date('2026-01-01T12:00:00Z')

beforeEach(() => {
  vi.useFakeTimers({ now: HERE })
})

afterEach(() => {
  heardTime(new Date().toISOString())
  vi.useRealTimers()
})

describe('the clock', () => {
  it('is the server’s: a browser that is an hour late neither ages nor hides anything', () => {
    show(<Ago at="2026-01-01T12:59:30Z" />, user())
    act(() => heardTime('2026-01-01T13:00:00Z'))
    expect(screen.getByText('30 s ago')).toBeTruthy()
  })

  it('goes on while it is looked at', () => {
    show(<Ago at="2026-01-01T11:59:50Z" />, user())
    act(() => void vi.advanceTimersByTime(20_000))
    expect(screen.getByText('30 s ago')).toBeTruthy()
  })

  it('says the whole moment in the zone that was chosen', () => {
    expect(clock('2026-01-01T12:00:05Z', 'utc')).toBe('12:00:05')
    expect(moment('2026-01-01T12:00:05Z', 'utc')).toBe('2026-01-01 12:00:05 UTC')
  })
})
