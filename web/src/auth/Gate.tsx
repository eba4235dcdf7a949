/** The frame of the pages for people who are not logged in. */

import { useEffect, type ReactNode } from 'react'
import { Brand } from '../shell/Brand'
import css from './Gate.module.css'

export function Gate({ title, intro, children }: { title: string; intro: ReactNode; children: ReactNode }) {
  // There is one thing to do here: whoever comes can begin to type.
  useEffect(() => document.querySelector<HTMLElement>('#main [data-autofocus]')?.focus(), [])
  return (
    <main id="main" tabIndex={-1} className={css.page}>
      <div className={css.card}>
        <Brand />
        <h1>{title}</h1>
        <p className={css.intro}>{intro}</p>
        {children}
      </div>
      <p className={css.promise}>
        Nothing happens that policy did not allow. Nothing stays that did not help. Anyone can check the record.
      </p>
    </main>
  )
}
