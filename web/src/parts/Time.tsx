/** A moment: how long ago or the time of day, with the whole of it in the title. */

import { ago } from './numbers'
import { clock, moment, useNow, useZone } from './clock'

export function Ago({ at }: { at: string }) {
  const now = useNow()
  const zone = useZone((state) => state.zone)
  return (
    <time dateTime={at} title={moment(at, zone)}>
      {ago((now - Date.parse(at)) / 1000)}
    </time>
  )
}

export function Clock({ at, date = false }: { at: string; date?: boolean }) {
  const zone = useZone((state) => state.zone)
  return (
    <time dateTime={at} title={moment(at, zone)}>
      {clock(at, zone, { date })}
    </time>
  )
}
