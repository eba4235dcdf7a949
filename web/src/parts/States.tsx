/** Loading, empty and failed: what a part of the page shows while, or because, it has nothing to show. */

import { Button, Skeleton } from '@mantine/core'
import type { ReactNode } from 'react'
import { asProblem } from '../api/problem'
import { Icon } from './Icon'
import css from './States.module.css'
import { PERMISSIONS, capital } from './words'
import type { Permission } from '../api/types'

export function Loading({ rows = 4, label }: { rows?: number; label: string }) {
  return (
    <div className={css.loading} role="status">
      <span className="away">Loading {label}</span>
      {Array.from({ length: rows }, (_, row) => (
        <Skeleton key={row} height={18} width={`${92 - ((row * 17) % 40)}%`} radius="sm" />
      ))}
    </div>
  )
}

/** `children` say why it is empty and what can be done next. */
export function Empty({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className={css.empty}>
      <p className={css.title}>{title}</p>
      <p>{children}</p>
    </div>
  )
}

export function Failure({ error, what, retry }: { error: unknown; what: string; retry?: () => void }) {
  const problem = asProblem(error)
  return (
    <div className={css.failure} role="alert">
      <Icon sign="high" size={18} />
      <div>
        <p className={css.title}>
          {problem.status === 403 ? 'Not allowed: ' : ''}
          {what} could not be read
        </p>
        <p>{capital(problem.message)}</p>
        {problem.hint && <p>{problem.hint}</p>}
        {problem.requestId && (
          <p className={css.request}>
            Request <code>{problem.requestId}</code>
          </p>
        )}
        {retry && problem.status !== 403 && (
          <Button variant="default" onClick={retry} mt={8}>
            Try again
          </Button>
        )}
      </div>
    </div>
  )
}

/** The short form for what a button was told, beside that button. */
export function Refused({ error }: { error: unknown }) {
  if (!error) return null
  const problem = asProblem(error)
  return (
    <p className={css.refused} role="alert">
      <Icon sign="high" size={15} />
      <span>
        {capital(problem.message)} {problem.hint ?? ''}
        {problem.requestId && (
          <>
            {' '}
            Request <code>{problem.requestId}</code>
          </>
        )}
      </span>
    </p>
  )
}

export function missing(permission: Permission): string {
  const what = PERMISSIONS[permission]
  return `Needs the permission ${permission}${what ? ` to ${what}` : ''}; your roles do not give it.`
}
