/** Why Aegis did what it did, or did nothing, in one sentence; and what stands in the way. */

import { useQuery } from '@tanstack/react-query'
import { whyQuery } from '../api/queries'
import type { Incident } from '../api/types'
import { Icon } from '../parts/Icon'
import { capital, spoken } from '../parts/words'
import css from './WhyLine.module.css'

export function WhyLine({ incident }: { incident: Incident }) {
  const why = useQuery(whyQuery(incident.id))
  // The sentence is an addition: without it the page is still whole, so its absence is not shown as an error.
  if (!why.data) return null
  return (
    <section className={css.why} aria-label="Why">
      <Icon sign="unknown" size={16} />
      <div>
        <p>{rest(why.data.sentence, incident.sentence)}</p>
        {why.data.blockers.length > 0 && (
          <ul>
            {why.data.blockers.map((one) => (
              <li key={one.code + one.sentence}>
                {capital(spoken(one.sentence))} <code>{one.code}</code>
              </li>
            ))}
          </ul>
        )}
      </div>
    </section>
  )
}

/** Without the sentence that is the page's heading already. */
export function rest(why: string, heading: string): string {
  const more = why.startsWith(heading) ? why.slice(heading.length).replace(/^[;:,.\s]+/, '') : why
  return capital(spoken(more || why))
}
