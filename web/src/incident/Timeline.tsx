/** Everything that happened, in order, each entry with its place in the audit log. */

import { Link } from '@tanstack/react-router'
import type { TimelineEvent } from '../api/types'
import { useMay } from '../auth/session'
import { Icon, type Sign } from '../parts/Icon'
import { duration, secondsBetween } from '../parts/numbers'
import { Empty } from '../parts/States'
import { Clock } from '../parts/Time'
import { capital, spoken } from '../parts/words'
import css from './Timeline.module.css'

const SIGNS: Record<string, Sign> = {
  sense: 'eye',
  detect: 'high',
  diagnose: 'search',
  recommend: 'bolt',
  decide: 'audit',
  approve: 'hand',
  act: 'run',
  verify: 'eye',
  undo: 'undo',
  escalate: 'person',
  incident: 'done',
  close: 'check',
}

export function Timeline({ events }: { events: TimelineEvent[] }) {
  const first = events[0]
  return (
    <section className="panel" aria-labelledby="timeline">
      <header>
        <h2 id="timeline">Timeline</h2>
      </header>
      {first ? (
        <ol className={css.timeline}>
          {titles(events).map(({ event, title }, place) => (
            <li key={`${event.at} ${place}`}>
              <span className={css.sign}>
                <Icon sign={SIGNS[event.stage] ?? 'low'} size={14} />
              </span>
              <div className={css.what}>
                <p className={css.title}>{capital(spoken(title))}</p>
                {event.detail && event.detail !== event.title && <p className={css.detail}>{spoken(event.detail)}</p>}
                <p className={css.when}>
                  <Clock at={event.at} />
                  {place > 0 && <span>+{duration(secondsBetween(first.at, event.at))}</span>}
                  <span>{event.stage}</span>
                  <Position position={event.audit_position} />
                </p>
              </div>
            </li>
          ))}
        </ol>
      ) : (
        <Empty title="Nothing yet">The first entry comes with the first abnormal sample.</Empty>
      )}
    </section>
  )
}

const STEP = /^(?:Undo: )?\w+ on \S+: (.+)$/

/** What was done to what is said once: the steps after it are only named, until it is about something else. */
export function titles(events: TimelineEvent[]): { event: TimelineEvent; title: string }[] {
  let about = ''
  return events.map((event) => {
    const found = STEP.exec(event.title)
    if (!found) return { event, title: event.title }
    const before = about
    about = event.title.slice(0, -(found[1] ?? '').length)
    return { event, title: about === before ? (found[1] ?? '') : event.title }
  })
}

function Position({ position }: { position: number | null }) {
  const may = useMay('audit:read')
  if (position === null) return null
  if (!may) return <span>audit #{position}</span>
  return (
    <Link to="/audit" search={{ at: position }}>
      audit #{position}
    </Link>
  )
}
