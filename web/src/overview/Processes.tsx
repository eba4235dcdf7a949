/** The parts of Aegis and whether each was heard lately. */

import type { Process } from '../api/types'
import { ProcessTag } from '../parts/Tag'
import { Ago } from '../parts/Time'
import css from './Processes.module.css'

export function Processes({ processes }: { processes: Process[] }) {
  return (
    <ul className={css.processes} aria-label="Processes">
      {processes.map((one) => (
        <li key={`${one.name} ${one.instance}`}>
          <span className={css.name}>{one.name}</span>
          <ProcessTag status={one.status} />
          <span className={css.detail} title={`${one.instance}: ${one.detail}`}>
            {one.status !== 'ok' && one.detail ? one.detail : one.seen_at ? <Ago at={one.seen_at} /> : 'never seen'}
          </span>
        </li>
      ))}
    </ul>
  )
}
