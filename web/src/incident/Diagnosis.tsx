/** What it probably is, why, what else it could be, and whose fault it may be: read before anything is approved. */

import { Link } from '@tanstack/react-router'
import type { Incident } from '../api/types'
import { percent } from '../parts/numbers'
import { Empty } from '../parts/States'
import { capital, className, entityName } from '../parts/words'
import css from './Diagnosis.module.css'

export function Diagnosis({ incident }: { incident: Incident }) {
  const { diagnosis } = incident
  return (
    <section className={`panel ${css.panel}`} aria-labelledby="diagnosis">
      <h2 id="diagnosis">Diagnosis</h2>
      {diagnosis ? (
        <div className={css.body}>
          <p>
            <strong>{diagnosis.abstained ? 'Not clear enough to act on' : capital(className(diagnosis.class))}</strong>
            {!diagnosis.abstained && ` ${percent(diagnosis.probability)}`}
            {diagnosis.reasons.length > 0 && <span>: {diagnosis.reasons.join('; ')}.</span>}
          </p>
          <Because incident={incident} />
          {diagnosis.alternatives.length > 0 && (
            <p className={css.others}>
              Could also be{' '}
              {diagnosis.alternatives.map((one) => `${className(one.class)} (${percent(one.probability)})`).join(', ')}.
            </p>
          )}
        </div>
      ) : (
        <Empty title="Not diagnosed yet">That comes with the next sample.</Empty>
      )}
    </section>
  )
}

/** Who calls whom is not known: what was unusual beside it, when its trouble began, is named as that. */
function Because({ incident }: { incident: Incident }) {
  const causes = incident.because_of
  if (!causes) return null
  if (causes.length === 0) {
    return <p>Passed on by a dependency; nothing that Aegis watches beside it was unusual when it began.</p>
  }
  return (
    <p>
      Passed on by a dependency, probably{' '}
      {causes.map((one, place) => (
        <span key={one.incident}>
          {place > 0 && (place === causes.length - 1 ? ' or ' : ', ')}
          <Link to="/incidents/$id" params={{ id: one.incident }}>
            {entityName(one.entity)}
          </Link>
        </span>
      ))}
      {causes.length === 1 ? ', which was' : ', each'} unusual by itself when this began.
    </p>
  )
}
