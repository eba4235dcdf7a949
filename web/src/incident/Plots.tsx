/** The signals behind an incident, one plot each under one time axis, with what happened marked on all of them. */

import { useComputedColorScheme } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Suspense, lazy, useMemo, useState } from 'react'
import { seriesQuery } from '../api/queries'
import type { Incident, IncidentSeries, Mark } from '../api/types'
import { clock, useZone } from '../parts/clock'
import { Empty, Failure, Loading } from '../parts/States'
import { capital, signalName } from '../parts/words'
import css from './Plots.module.css'
import { SampleTable } from './SampleTable'

// The drawing library comes after the page: what is wrong can be read while it loads.
const SignalPlot = lazy(() => import('./SignalPlot').then(({ SignalPlot: drawn }) => ({ default: drawn })))

export function Plots({ incident }: { incident: Incident }) {
  const series = useQuery(seriesQuery(incident.id, incident.closed_at === null))
  return (
    <section className="panel" aria-labelledby="signals">
      <header>
        <h2 id="signals">Signals</h2>
        <p className={css.key} aria-hidden="true">
          <span className={css.value} /> value <span className={css.expected} /> expected <span className={css.band} />{' '}
          usual
        </p>
      </header>
      {series.data ? (
        <Drawn series={series.data} incident={incident} />
      ) : series.error ? (
        <Failure error={series.error} what="The samples" retry={() => void series.refetch()} />
      ) : (
        <Loading label="the samples" rows={5} />
      )}
    </section>
  )
}

function Drawn({ series, incident }: { series: IncidentSeries; incident: Incident }) {
  const scheme = useComputedColorScheme('light')
  const zone = useZone((state) => state.zone)
  const [cursor, setCursor] = useState<number | null>(null)
  const names = useMemo(() => order(series, incident), [series, incident])
  if (series.times.length === 0 || names.length === 0) {
    return <Empty title="No samples kept yet">They are kept with the incident a few samples after it opens.</Empty>
  }
  return (
    <div className={css.plots}>
      <Suspense fallback={<Loading label="the plots" rows={5} />}>
        {names.map((name, place) => {
          const signal = series.signals[name]
          if (!signal) return null
          return (
            <SignalPlot
              key={`${name} ${scheme} ${zone}`}
              name={capital(signalName(name))}
              times={series.times}
              signal={signal}
              judged={incident.evidence.some((one) => one.signal === name)}
              marks={series.marks}
              zone={zone}
              last={place === names.length - 1}
              cursor={cursor}
              onCursor={setCursor}
            />
          )
        })}
      </Suspense>
      <Legend marks={series.marks} />
      <SampleTable series={series} names={names} />
    </div>
  )
}

/** What raised the incident comes first, in the order of its evidence; context after it. */
export function order(series: IncidentSeries, incident: Pick<Incident, 'evidence'>): string[] {
  const evidence = incident.evidence.map((one) => one.signal).filter((name) => name in series.signals)
  const context = Object.keys(series.signals).filter((name) => !evidence.includes(name))
  return [...evidence, ...context].filter((name) => series.signals[name]?.values.some((value) => value !== null))
}

function Legend({ marks }: { marks: Mark[] }) {
  const zone = useZone((state) => state.zone)
  if (marks.length === 0) return null
  return (
    <ol className={css.marks} aria-label="What happened when">
      {marks.map((mark, place) => (
        <li key={`${mark.kind} ${mark.at}`}>
          <span className={css.badge} data-kind={mark.kind}>
            {place + 1}
          </span>
          {capital(mark.label)} <time>{clock(mark.at * 1000, zone)}</time>
        </li>
      ))}
    </ol>
  )
}
