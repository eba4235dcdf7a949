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

let skewMs = 0

/** Told by each answer that carries the server's time. */
export function heardTime(now: string): void {
  const heard = Date.parse(now)
  if (!Number.isNaN(heard)) skewMs = heard - Date.now()
}

export const now = (): number => Date.now() + skewMs

/** The time, kept current while the component is shown. */
export function useNow(everyMs = 10_000): number {
  const [at, setAt] = useState(now)
  useEffect(() => {
    const timer = setInterval(() => setAt(now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return Math.max(at, 0)
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
