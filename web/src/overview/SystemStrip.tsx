/** The state of the system in one glance: how it may act, what it did today, and whether its parts are up. */

import { useLive } from '../api/live'
import type { SystemState } from '../api/types'
import { Tag } from '../parts/Tag'
import { Ago } from '../parts/Time'
import { MODES } from '../parts/words'
import { Processes } from './Processes'
import css from './SystemStrip.module.css'

export function SystemStrip({ state }: { state: SystemState }) {
  const { counts } = state
  const offline = useLive((live) => live.link === 'offline')
  return (
    <section className={`panel ${css.strip}`} aria-label="System" data-stale={offline || undefined}>
      <div className={css.safety}>
        <p className={css.mode}>
          {offline ? (
            <Tag tone="calm" sign="unknown">
              {state.stopped ? 'Stopped when last heard' : 'Running when last heard'}
            </Tag>
          ) : state.stopped ? (
            <Tag tone="bad" sign="stop">
              Stopped
            </Tag>
          ) : (
            <Tag tone="good" sign="done">
              Running
            </Tag>
          )}
          <span>in mode {MODES[state.mode].name.toLowerCase()}</span>
        </p>
        <p className={css.meaning}>
          {state.stopped ? 'Watches and records. Acts again after somebody resumes it.' : MODES[state.mode].meaning}
        </p>
        <p className={css.last}>
          Epoch {state.epoch}, by {state.changed_by} <Ago at={state.changed_at} />: {state.reason}
        </p>
      </div>
      <dl className={css.counts}>
        <Count name="open incidents" value={counts.open_incidents} loud={counts.open_incidents > 0} />
        <Count name="to approve" value={counts.awaiting_approval} loud={counts.awaiting_approval > 0} />
        <Count name="acted, 24 h" value={counts.acted_24h} />
        <Count name="helped, 24 h" value={counts.helped_24h} />
        <Count name="undone, 24 h" value={counts.undone_24h} />
        <Count name="refused, 24 h" value={counts.refused_24h} />
      </dl>
      <Processes processes={state.processes} known={!offline} />
    </section>
  )
}

function Count({ name, value, loud = false }: { name: string; value: number; loud?: boolean }) {
  return (
    <div className={css.count} data-loud={loud || undefined}>
      <dt>{name}</dt>
      <dd>{value.toLocaleString('en')}</dd>
    </div>
  )
}
