/**
 * The live connection: server-sent events where they work, polling where they do not, and a state that people can see.
 * Wired once in `main.tsx`; components read `useLive`. It never keeps data, it only says that something changed.
 */

import { create } from 'zustand'
import { V1 } from './http'

/** `polling`: answers come, events do not. `offline`: nothing comes. */
export type Link = 'connecting' | 'live' | 'polling' | 'offline'
export type Topic = 'incident' | 'remediation' | 'alert' | 'state'
export const TOPICS: readonly Topic[] = ['incident', 'remediation', 'alert', 'state']

interface Live {
  link: Link
  /** When the API last said anything, in this browser's clock. */
  heardAt: number
}

export const useLive = create<Live>(() => ({ link: 'connecting', heardAt: Date.now() }))

const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 30_000

/** Open the stream and keep it open; returns the function that closes it. `changed` is told what to read again. */
export function listen(changed: (topic: Topic, id: string | null) => void, open = openStream): () => void {
  let stream: EventSource | null = null
  let timer: ReturnType<typeof setTimeout> | undefined
  let wait = FIRST_RETRY_MS

  const connect = () => {
    // A browser opens six connections to one host; tabs that nobody sees leave them to the one with the kill switch.
    if (document.hidden) return
    stream = open()
    stream.addEventListener('hello', () => {
      // Whatever happened while nobody listened is read now.
      if (useLive.getState().link !== 'connecting') for (const topic of TOPICS) changed(topic, null)
      wait = FIRST_RETRY_MS
      useLive.setState({ link: 'live', heardAt: Date.now() })
    })
    for (const topic of TOPICS) {
      stream.addEventListener(topic, (event) => {
        useLive.setState({ link: 'live', heardAt: Date.now() })
        changed(topic, idOf(event as MessageEvent<string>))
      })
    }
    stream.addEventListener('error', () => {
      stream?.close()
      if (useLive.getState().link !== 'offline') useLive.setState({ link: 'polling' })
      timer = setTimeout(connect, wait)
      wait = Math.min(wait * 2, LAST_RETRY_MS)
    })
  }

  const again = () => {
    clearTimeout(timer)
    stream?.close()
    if (useLive.getState().link === 'live') useLive.setState({ link: 'polling' })
    wait = FIRST_RETRY_MS
    connect()
  }
  document.addEventListener('visibilitychange', again)
  globalThis.addEventListener('online', again)
  globalThis.addEventListener('offline', unanswered)
  connect()
  return () => {
    clearTimeout(timer)
    stream?.close()
    document.removeEventListener('visibilitychange', again)
    globalThis.removeEventListener('online', again)
    globalThis.removeEventListener('offline', unanswered)
    useLive.setState({ link: 'connecting' })
  }
}

/** An answer came: the API is there, whatever the stream says. */
export function answered(): void {
  // An answer that was on its way when the network went is no sign that it is back.
  if (!navigator.onLine) return
  const { link } = useLive.getState()
  useLive.setState({ heardAt: Date.now(), link: link === 'offline' ? 'polling' : link })
}

/** No answer came. */
export function unanswered(): void {
  useLive.setState({ link: 'offline' })
}

function openStream(): EventSource {
  return new EventSource(`${V1}/events`)
}

function idOf(event: MessageEvent<string>): string | null {
  try {
    const data: unknown = JSON.parse(event.data)
    const id = typeof data === 'object' && data !== null ? (data as { id?: unknown }).id : null
    return typeof id === 'string' ? id : null
  } catch {
    return null
  }
}
