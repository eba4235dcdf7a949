/** The plotted samples as text: the same data for who does not see the picture, thinned to what can be read. */

import { useState } from 'react'
import type { IncidentSeries } from '../api/types'
import { clock, useZone } from '../parts/clock'
import { amount } from '../parts/numbers'
import { capital, signalName } from '../parts/words'
import css from './SampleTable.module.css'

const ROWS = 60

export function SampleTable({ series, names }: { series: IncidentSeries; names: string[] }) {
  const [open, setOpen] = useState(false)
  return (
    <details className={css.details} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>The samples as a table</summary>
      {open && <Rows series={series} names={names} />}
    </details>
  )
}

function Rows({ series, names }: { series: IncidentSeries; names: string[] }) {
  const zone = useZone((state) => state.zone)
  return (
    <div className={css.scroll} tabIndex={0} role="group" aria-label="Samples">
      <table>
        <thead>
          <tr>
            <th scope="col">Time</th>
            {names.map((name) => (
              <th key={name} scope="col" className="number">
                {capital(signalName(name))}
              </th>
            ))}
            <th scope="col">What happened</th>
          </tr>
        </thead>
        <tbody>
          {rows(series, ROWS).map(({ index, marks }) => (
            <tr key={index}>
              <td>{clock((series.times[index] ?? 0) * 1000, zone)}</td>
              {names.map((name) => (
                <td key={name} className="number">
                  {amount(series.signals[name]?.values[index], series.signals[name]?.unit ?? '')}
                </td>
              ))}
              <td>{marks.join(', ')}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** Every n-th sample, and the samples nearest to a mark, each with the labels of its marks. */
export function rows(
  series: Pick<IncidentSeries, 'times' | 'marks'>,
  most: number,
): { index: number; marks: string[] }[] {
  const step = Math.max(1, Math.ceil(series.times.length / most))
  const chosen = new Map<number, string[]>()
  for (let index = 0; index < series.times.length; index += step) chosen.set(index, [])
  for (const mark of series.marks) {
    const index = nearest(series.times, mark.at)
    chosen.set(index, [...(chosen.get(index) ?? []), mark.label])
  }
  return [...chosen].map(([index, marks]) => ({ index, marks })).toSorted((one, other) => one.index - other.index)
}

function nearest(times: number[], at: number): number {
  let best = 0
  times.forEach((time, index) => {
    if (Math.abs(time - at) < Math.abs((times[best] ?? 0) - at)) best = index
  })
  return best
}
