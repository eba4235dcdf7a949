/** Whether what is shown is live, a few seconds old, or no longer being read. */

import { useLive, type Link } from '../api/live'
import css from './Connection.module.css'

const SAYS: Record<Link, { word: string; meaning: string }> = {
  connecting: { word: 'Connecting', meaning: 'Opening the live connection.' },
  live: { word: 'Live', meaning: 'Changes are shown the moment they happen.' },
  polling: { word: 'Polling', meaning: 'The live connection is down; the page reads again every few seconds.' },
  offline: { word: 'Offline', meaning: 'Aegis cannot be reached; what is shown is old.' },
}

export function Connection() {
  const link = useLive((live) => live.link)
  return (
    <span className={css.connection} data-link={link} title={SAYS[link].meaning} role="status">
      <span className={css.dot} aria-hidden="true" />
      <span className={css.word}>{SAYS[link].word}</span>
    </span>
  )
}
