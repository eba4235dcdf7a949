/** What came of it: the verdict, and each signal before and after. */

import type { Measure, Verdict } from '../api/types'
import { amount } from '../parts/numbers'
import { OutcomeTag, Tag } from '../parts/Tag'
import { Clock } from '../parts/Time'
import { capital, signalName, spoken } from '../parts/words'
import css from './VerdictView.module.css'

/** `until`: when the verdict comes at the latest, while there is none. */
export function VerdictView({ verdict, until }: { verdict: Verdict; until: string | null }) {
  return (
    <section className={css.verdict} aria-label="Verdict">
      <p className={css.sentence}>
        {verdict.verdict ? (
          <OutcomeTag outcome={verdict.verdict} />
        ) : (
          <Tag tone="info" sign="eye" solid>
            Verifying
          </Tag>
        )}
        <span>
          {capital(spoken(verdict.sentence))}
          {!verdict.verdict && until && (
            <>
              ; the verdict comes by <Clock at={until} />
            </>
          )}
          .
        </span>
      </p>
      {verdict.measures.length > 0 && (
        <table className={css.measures}>
          <thead>
            <tr>
              <th scope="col">Signal</th>
              <th scope="col" className="number">
                Before
              </th>
              <th scope="col" className="number">
                After
              </th>
              <th scope="col" className="number">
                Change
              </th>
              <th scope="col">Back?</th>
            </tr>
          </thead>
          <tbody>
            {verdict.measures.map((measure) => (
              <tr key={measure.signal}>
                <td>{capital(signalName(measure.signal))}</td>
                <td className="number">{amount(measure.before, measure.unit)}</td>
                <td className="number">{amount(measure.after, measure.unit)}</td>
                <td className="number">{change(measure)}</td>
                <td>
                  <Better better={measure.better} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}

function change({ change_percent }: Measure): string {
  if (change_percent === null) return '–'
  return `${change_percent > 0 ? '+' : change_percent < 0 ? '−' : ''}${Math.abs(change_percent).toFixed(0)}%`
}

function Better({ better }: { better: boolean | null }) {
  if (better === null) {
    return (
      <Tag tone="calm" sign="unknown">
        Not known
      </Tag>
    )
  }
  return better ? (
    <Tag tone="good" sign="check">
      Yes
    </Tag>
  ) : (
    <Tag tone="warn" sign="same">
      No
    </Tag>
  )
}
