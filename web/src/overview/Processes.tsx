/** The parts of Aegis and whether each was heard lately. */

import type { Process } from '../api/types'
import { ProcessTag, Tag } from '../parts/Tag'
import { Ago } from '../parts/Time'
import css from './Processes.module.css'

/** `known` is false while nothing is heard at all: what was said before is no state of now. */
export function Processes({ processes, known }: { processes: Process[]; known: boolean }) {
  return (
    <ul className={css.processes} aria-label="Processes">
      {processes.map((one) => (
        <li key={`${one.name} ${one.instance}`}>
          <span className={css.name}>{one.name}</span>
          {known ? (
            <ProcessTag status={one.status} />
          ) : (
            <Tag tone="calm" sign="unknown">
              unknown
            </Tag>
          )}
          <span className={css.detail} title={`${one.instance}: ${one.detail}`}>
            {one.status !== 'ok' && one.detail ? one.detail : one.seen_at ? <Ago at={one.seen_at} /> : 'never seen'}
          </span>
        </li>
      ))}
    </ul>
  )
}
