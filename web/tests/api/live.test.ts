import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { answered, listen, unanswered, useLive } from '../../src/api/live'

/** Stands for the browser's EventSource: the test says what arrives. */
class Stream extends EventTarget {
  closed = false
  close() {
    this.closed = true
  }
  say(topic: string, data = '{}') {
    this.dispatchEvent(new MessageEvent(topic, { data }))
  }
}

let streams: Stream[]
let changed: [string, string | null][]
let stop: () => void
const newest = () => streams.at(-1) as Stream

beforeEach(() => {
  vi.useFakeTimers()
  streams = []
  changed = []
  stop = listen(
    (topic, id) => changed.push([topic, id]),
    () => {
      const stream = new Stream()
      streams.push(stream)
      return stream as unknown as EventSource
    },
  )
})

afterEach(() => {
  stop()
  vi.useRealTimers()
})

describe('the live connection', () => {
  it('is live after the greeting and passes on what changed', () => {
    newest().say('hello')
    newest().say('incident', '{"id":"inc_1"}')
    newest().say('state')
    expect(useLive.getState().link).toBe('live')
    expect(changed).toEqual([
      ['incident', 'inc_1'],
      ['state', null],
    ])
  })

  it('polls while the stream is down and opens it again, each time later', () => {
    newest().say('hello')
    newest().say('error')
    expect(useLive.getState().link).toBe('polling')
    vi.advanceTimersByTime(1_000)
    expect(streams).toHaveLength(2)
    newest().say('error')
    vi.advanceTimersByTime(1_999)
    expect(streams).toHaveLength(2)
    vi.advanceTimersByTime(1)
    expect(streams).toHaveLength(3)
  })

  it('reads everything again after a gap, because events were missed', () => {
    newest().say('hello')
    newest().say('error')
    vi.advanceTimersByTime(1_000)
    newest().say('hello')
    expect(changed.map(([topic]) => topic)).toEqual(['incident', 'remediation', 'alert', 'state'])
  })

  it('is not held open by a page that nobody sees: browsers allow few connections to one host', () => {
    const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true)
    newest().say('hello')
    document.dispatchEvent(new Event('visibilitychange'))
    expect(newest().closed).toBe(true)
    expect(streams).toHaveLength(1)
    hidden.mockReturnValue(false)
    document.dispatchEvent(new Event('visibilitychange'))
    newest().say('hello')
    expect(streams).toHaveLength(2)
    expect(changed.map(([topic]) => topic)).toEqual(['incident', 'remediation', 'alert', 'state'])
  })

  it('is offline when no answer comes, and polling as soon as one does', () => {
    unanswered()
    expect(useLive.getState().link).toBe('offline')
    answered()
    expect(useLive.getState().link).toBe('polling')
  })

  it('does not call itself live again on an answer alone', () => {
    newest().say('error')
    answered()
    expect(useLive.getState().link).toBe('polling')
  })

  it('survives an event whose data is no JSON', () => {
    newest().say('incident', 'not json')
    expect(changed).toEqual([['incident', null]])
  })
})
