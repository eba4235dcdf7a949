/** What time it is: the server's clock, so that a wrong clock here neither ages an incident nor hides an expiry. */

import { useEffect, useState } from 'react'
import { create } from 'zustand'

export type Zone = 'local' | 'utc'
const ZONE = 'aegis-zone'

export const useZone = create<{ zone: Zone; choose: (zone: Zone) => void }>((set) => ({
  zone: localStorage.getItem(ZONE) === 'utc' ? 'utc' : 'local',
  choose: (zone) => {
    localStorage.setItem(ZONE, zone)
    set({ zone })
  },
}))

/** How far the server's clock is ahead of this browser's. */
const useSkew = create<{ ms: number }>(() => ({ ms: 0 }))
const NOTHING_MS = 1_500 // the way of an answer, not a wrong clock

/** Told by each answer that carries the server's time. */
export function heardTime(now: string): void {
  const ms = Date.parse(now) - Date.now()
  if (Math.abs(ms - useSkew.getState().ms) > NOTHING_MS) useSkew.setState({ ms })
}

/** The server's time, kept current while the component is shown. */
export function useNow(everyMs = 10_000): number {
  return useHere(everyMs) + useSkew((state) => state.ms)
}

/** This browser's own time, for how long ago something happened in this page. */
export function useHere(everyMs: number): number {
  const [here, setHere] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setHere(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return here
}

export function clock(at: string | number, zone: Zone, { seconds = true, date = false } = {}): string {
  const options: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }
  if (seconds) options.second = '2-digit'
  if (date) Object.assign(options, { year: 'numeric', month: '2-digit', day: '2-digit' })
  if (zone === 'utc') options.timeZone = 'UTC'
  return new Intl.DateTimeFormat('sv-SE', options).format(new Date(at))
}

/** The whole truth about a moment, for titles: date, time and zone. */
export function moment(at: string | number, zone: Zone): string {
  const offset = zone === 'utc' ? 'UTC' : Intl.DateTimeFormat().resolvedOptions().timeZone
  return `${clock(at, zone, { date: true })} ${offset}`
}
