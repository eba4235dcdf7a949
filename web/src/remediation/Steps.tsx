/** The way of a remediation as five small steps. */

import type { Remediation } from '../api/types'
import { Icon, type Sign } from '../parts/Icon'
import { standings, type Standing } from './steps'
import css from './Steps.module.css'

const SHOWN: Record<Standing, { sign: Sign; word: string }> = {
  done: { sign: 'check', word: 'done' },
  now: { sign: 'wait', word: 'now' },
  failed: { sign: 'cross', word: 'ended here' },
  ahead: { sign: 'right', word: 'to come' },
}

export function Steps({ item }: { item: Remediation }) {
  return (
    <ol className={css.steps} aria-label="Progress">
      {standings(item).map(({ name, standing }) => (
        <li key={name} data-standing={standing} aria-current={standing === 'now' ? 'step' : undefined}>
          <Icon sign={SHOWN[standing].sign} size={13} />
          {name}
          <span className="away">: {SHOWN[standing].word}</span>
        </li>
      ))}
    </ol>
  )
}
