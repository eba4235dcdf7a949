/** The record, newest first: position, time, kind, who, about what; searched and paged by the API. */

import { Button, TextInput } from '@mantine/core'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link, getRouteApi, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { auditQuery } from '../api/queries'
import { CopyCommand } from '../parts/CopyCommand'
import { Icon } from '../parts/Icon'
import { Empty, Failure, Loading } from '../parts/States'
import { useTitle } from '../parts/title'
import css from './AuditPage.module.css'
import { AuditTable } from './AuditTable'

const route = getRouteApi('/member/audit')
const PAGE = 100

export function AuditPage() {
  useTitle('Audit')
  const { q, before, at } = route.useSearch()
  // An entry that was linked to is shown with its neighbours.
  const start = before ?? (at === undefined ? undefined : at + 20)
  const page = useQuery({ ...auditQuery({ q, before: start, limit: PAGE }), placeholderData: keepPreviousData })
  const next = page.data?.next_before
  return (
    <>
      <div className={css.head}>
        <h1>Audit</h1>
        <Search key={q} q={q ?? ''} />
        <CopyCommand command="aegis audit verify" />
      </div>
      <section className="panel" aria-label="Entries">
        {page.data ? (
          page.data.items.length > 0 ? (
            <AuditTable key={at} items={page.data.items} at={at} />
          ) : (
            <Empty title="No entry">
              {q ? `Nothing holds “${q}”. ` : 'Nothing was recorded yet. '}
              {(q || start !== undefined) && (
                <Link to="/audit" search={{}}>
                  See the newest entries
                </Link>
              )}
            </Empty>
          )
        ) : page.error ? (
          <Failure error={page.error} what="The audit log" retry={() => void page.refetch()} />
        ) : (
          <Loading label="the audit log" rows={10} />
        )}
        {(start !== undefined || typeof next === 'number') && (
          <nav className={css.pages} aria-label="Pages of the audit log">
            {start === undefined ? (
              <span />
            ) : (
              <Link to="/audit" search={q ? { q } : {}}>
                Newest
              </Link>
            )}
            {typeof next === 'number' && (
              <Link to="/audit" search={{ ...(q ? { q } : {}), before: next }}>
                Older
              </Link>
            )}
          </nav>
        )}
      </section>
    </>
  )
}

function Search({ q }: { q: string }) {
  const navigate = useNavigate()
  const [text, setText] = useState(q)
  return (
    <form
      role="search"
      className={css.search}
      onSubmit={(event) => {
        event.preventDefault()
        void navigate({ to: '/audit', search: text.trim() ? { q: text.trim() } : {} })
      }}
    >
      <TextInput
        type="search"
        size="xs"
        aria-label="Search the audit log"
        placeholder="Kind, person or workload"
        leftSection={<Icon sign="search" size={14} />}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        className={css.field}
      />
      <Button type="submit" variant="default">
        Search
      </Button>
    </form>
  )
}
