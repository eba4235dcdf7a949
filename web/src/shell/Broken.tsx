/** The page that stands in when a page cannot be shown at all. */

import type { ErrorComponentProps } from '@tanstack/react-router'
import { Link, useRouter } from '@tanstack/react-router'
import { Empty, Failure } from '../parts/States'
import css from './Broken.module.css'

export function Broken({ error, reset }: ErrorComponentProps) {
  const router = useRouter()
  const retry = () => {
    reset()
    void router.invalidate()
  }
  return (
    <main id="main" tabIndex={-1} className={css.page}>
      <div className="panel">
        <Failure error={error} what="This page" retry={retry} />
      </div>
    </main>
  )
}

export function Missing() {
  return (
    <div className={css.page}>
      <div className="panel">
        <Empty title="There is no such page">
          The address may be mistyped. <Link to="/">Go to the overview</Link>
        </Empty>
      </div>
    </div>
  )
}
