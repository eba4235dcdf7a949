/** Incidents, newest first; the filter and the page are in the URL, filtering and paging are the API's. */

import { SegmentedControl } from '@mantine/core'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link, getRouteApi, useNavigate } from '@tanstack/react-router'
import { incidentsQuery, stateQuery } from '../api/queries'
import type { IncidentSummary } from '../api/types'
import { CopyCommand } from '../parts/CopyCommand'
import { percent } from '../parts/numbers'
import { Empty, Failure, Loading } from '../parts/States'
import { IncidentTag, RemediationTag, SeverityTag } from '../parts/Tag'
import { Ago } from '../parts/Time'
import { capital, className } from '../parts/words'
import css from './IncidentTable.module.css'

const route = getRouteApi('/member/')
const PAGE = 50

type Filter = 'open' | 'closed' | 'all'
const FILTERS: { value: Filter; label: string }[] = [
  { value: 'open', label: 'Open' },
  { value: 'closed', label: 'Closed' },
  { value: 'all', label: 'All' },
]

export function IncidentTable() {
  const { state = 'open', cursor } = route.useSearch()
  const navigate = useNavigate()
  const list = useQuery({
    ...incidentsQuery({ state, cursor, limit: PAGE }),
    placeholderData: keepPreviousData,
  })
  const choose = (next: Filter) => void navigate({ to: '/', search: next === 'open' ? {} : { state: next } })
  return (
    <section className="panel" aria-labelledby="incidents">
      <header>
        <h2 id="incidents">Incidents</h2>
        <SegmentedControl
          aria-label="Which incidents"
          size="xs"
          data={FILTERS}
          value={state}
          onChange={choose}
          classNames={{ label: css.choice ?? '' }}
        />
      </header>
      {list.data ? (
        <Rows incidents={list.data.items} filter={state} stale={list.isPlaceholderData} />
      ) : list.error ? (
        <Failure error={list.error} what="The incidents" retry={() => void list.refetch()} />
      ) : (
        <Loading label="the incidents" rows={6} />
      )}
      {(cursor !== undefined || list.data?.next_cursor) && (
        <nav className={css.pages} aria-label="Pages of incidents">
          {cursor === undefined ? (
            <span />
          ) : (
            <Link to="/" search={state === 'open' ? {} : { state }}>
              Newest
            </Link>
          )}
          {list.data?.next_cursor && (
            <Link to="/" search={{ ...(state === 'open' ? {} : { state }), cursor: list.data.next_cursor }}>
              Older
            </Link>
          )}
        </nav>
      )}
    </section>
  )
}

/** How far the fix came; of a victim, whose fix is its own. */
export function Fix({ incident, none }: { incident: IncidentSummary; none?: string }) {
  if (incident.remediation_state) return <RemediationTag state={incident.remediation_state} />
  if (incident.because_of) {
    return <span title="Healing the one it calls heals it.">Because of {culprit(incident.because_of)}</span>
  }
  return none ? <span className={css.unknown}>{none}</span> : null
}

function culprit(causes: { entity: string }[]): string {
  const names = causes.map((one) => one.entity.split('/').at(-1) ?? one.entity)
  if (names.length === 0) return 'a dependency'
  return names.length > 2 ? `one of ${names.length} others` : names.join(' or ')
}

/** A simulated cluster has nothing to heal until somebody breaks something. */
function Sandbox() {
  const { data: state } = useQuery(stateQuery())
  if (!state?.sandbox) return null
  return (
    <span className={css.sandbox}>
      This cluster is simulated. Break something and watch:{' '}
      <CopyCommand command="aegis sandbox fault start error_burst" />
    </span>
  )
}

function Rows({ incidents, filter, stale }: { incidents: IncidentSummary[]; filter: Filter; stale: boolean }) {
  if (incidents.length === 0) {
    return filter === 'open' ? (
      <Empty title="No open incident">
        All watched workloads behave as expected.{' '}
        <Link to="/" search={{ state: 'closed' }}>
          See what was closed
        </Link>
        <Sandbox />
      </Empty>
    ) : (
      <Empty title="No incident">
        {filter === 'closed' ? 'None was closed yet. ' : 'None was ever opened. '}
        {filter === 'closed' && <Link to="/">See the open ones</Link>}
      </Empty>
    )
  }
  return (
    <table className={css.table} data-stale={stale || undefined}>
      <thead>
        <tr>
          <th scope="col" className={css.some}>
            Severity
          </th>
          <th scope="col">What</th>
          <th scope="col" className={css.wide}>
            Probably
          </th>
          <th scope="col" className={css.some}>
            State
          </th>
          <th scope="col" className={css.wide}>
            Fix
          </th>
          <th scope="col" className={css.some}>
            Opened
          </th>
        </tr>
      </thead>
      <tbody>
        {incidents.map((one) => (
          <tr key={one.id}>
            <td className={css.some}>
              <SeverityTag severity={one.severity} />
            </td>
            <td className={css.what}>
              <Link to="/incidents/$id" params={{ id: one.id }} title={one.sentence}>
                {one.sentence}
              </Link>
              <span className={css.beneath}>
                <SeverityTag severity={one.severity} />
                <IncidentTag state={one.state} />
                <Fix incident={one} />
                <Ago at={one.opened_at} />
              </span>
            </td>
            <td className={css.wide}>
              {one.class === 'unknown' ? (
                <span className={css.unknown}>Not known</span>
              ) : (
                <>
                  {capital(className(one.class))} <span className={css.chance}>{percent(one.probability)}</span>
                </>
              )}
            </td>
            <td className={css.some}>
              <IncidentTag state={one.state} />
            </td>
            <td className={css.wide}>
              <Fix incident={one} none="None" />
            </td>
            <td className={css.some}>
              <Ago at={one.opened_at} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
