/** What it probably is, why, and what else it could be. */

import type { Diagnosis as Said } from '../api/types'
import { percent } from '../parts/numbers'
import { Empty } from '../parts/States'
import { capital, className } from '../parts/words'
import css from './Diagnosis.module.css'

export function Diagnosis({ diagnosis }: { diagnosis: Said | null }) {
  return (
    <section className="panel" aria-labelledby="diagnosis">
      <header>
        <h2 id="diagnosis">Diagnosis</h2>
      </header>
      {diagnosis ? (
        <div className={css.body}>
          <p>
            <strong>{diagnosis.abstained ? 'Not clear enough to act on' : capital(className(diagnosis.class))}</strong>
            {!diagnosis.abstained && ` ${percent(diagnosis.probability)}`}
          </p>
          <ul className={css.reasons}>
            {diagnosis.reasons.map((reason) => (
              <li key={reason}>{capital(reason)}</li>
            ))}
          </ul>
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
