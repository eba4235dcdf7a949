/** Which signals are unusual, by how much, and how much each adds to the score. */

import type { Incident } from '../api/types'
import { amount, percent } from '../parts/numbers'
import { Empty } from '../parts/States'
import { capital, signalName } from '../parts/words'
import css from './EvidenceTable.module.css'

export function EvidenceTable({ incident }: { incident: Incident }) {
  const { evidence } = incident
  // What an action stirs up is no evidence, so none is taken once there was one.
  const acted = incident.remediations.some((one) => one.effect_at !== null)
  return (
    <section className="panel" aria-labelledby="evidence">
      <header>
        <h2 id="evidence">Evidence</h2>
        {evidence.length > 0 && (
          <p className={css.when}>as of the last abnormal sample{acted ? ' before the action' : ''}</p>
        )}
      </header>
      {evidence.length === 0 ? (
        <Empty title="No evidence from metrics">An alert opened this incident; see the alerts.</Empty>
      ) : (
        <table className={css.table}>
          <thead>
            <tr>
              <th scope="col">Signal</th>
              <th scope="col" className="number">
                Value
              </th>
              <th scope="col" className="number">
                Expected
              </th>
              <th scope="col" className={`number ${css.some}`}>
                Usual range
              </th>
              <th scope="col">Share of the score</th>
            </tr>
          </thead>
          <tbody>
            {evidence.map((one) => (
              <tr key={one.signal}>
                <td>{capital(signalName(one.signal))}</td>
                <td className="number">
                  <strong>{amount(one.value, one.unit)}</strong>
                </td>
                <td className="number">
                  {typeof one.expected === 'number' ? amount(one.expected, one.unit) : 'not known'}
                </td>
                <td className={`number ${css.some}`}>
                  {typeof one.low === 'number' && typeof one.high === 'number'
                    ? `${amount(one.low, one.unit)} – ${amount(one.high, one.unit)}`
                    : 'not known'}
                </td>
                <td>
                  <Share share={one.share ?? null} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}

function Share({ share }: { share: number | null }) {
  if (share === null) return <>–</>
  return (
    <span className={css.share}>
      <span className={css.track} aria-hidden="true">
        <span className={css.bar} style={{ width: `${Math.round(100 * Math.min(1, Math.max(0, share)))}%` }} />
      </span>
      {percent(share)}
    </span>
  )
}
