/** Audit entries as dense rows; pressing one shows its data and its hash. */

import { Link } from '@tanstack/react-router'
import { Fragment, useEffect, useRef, useState, type MouseEvent } from 'react'
import type { AuditItem } from '../api/types'
import { Icon } from '../parts/Icon'
import { Clock } from '../parts/Time'
import { entityName } from '../parts/words'
import css from './AuditTable.module.css'

export function AuditTable({ items, at }: { items: AuditItem[]; at: number | undefined }) {
  const [open, setOpen] = useState<number | undefined>(at)
  return (
    <table className={css.table}>
      <thead>
        <tr>
          <th scope="col" className="number">
            #
          </th>
          <th scope="col">Time</th>
          <th scope="col">Kind</th>
          <th scope="col" className={css.some}>
            Actor
          </th>
          <th scope="col">Subject</th>
          <th scope="col" className={css.wide}>
            Reason
          </th>
          <th scope="col">
            <span className="away">Details</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {items.map((item) => {
          const shown = open === item.position
          return (
            <Fragment key={item.position}>
              <Row
                item={item}
                shown={shown}
                linked={at === item.position}
                toggle={() => setOpen(shown ? undefined : item.position)}
              />
              {shown && <Details item={item} />}
            </Fragment>
          )
        })}
      </tbody>
    </table>
  )
}

interface RowProps {
  item: AuditItem
  shown: boolean
  linked: boolean
  toggle: () => void
}

function Row({ item, shown, linked, toggle }: RowProps) {
  const { entry, position } = item
  const [kind, verb] = entry.kind.split(':')
  const place = useRef<HTMLTableRowElement>(null)
  useEffect(() => {
    if (linked) place.current?.scrollIntoView({ block: 'center' })
  }, [linked])
  // The button is for the keyboard and for screen readers; with the mouse the whole row does the same.
  const press = (event: MouseEvent<HTMLElement>) => {
    const selecting = globalThis.getSelection()?.isCollapsed === false
    if (selecting || (event.target as Element).closest('a, button')) return
    toggle()
  }
  return (
    <tr ref={place} className={css.row} data-linked={linked || undefined} onClick={press}>
      <td className="number">{position}</td>
      <td className={css.time}>
        <Clock at={entry.at} date />
      </td>
      <td>
        <code>
          {kind}:<wbr />
          {verb}
        </code>
      </td>
      <td className={css.some}>{entry.actor}</td>
      <td className={css.subject}>
        <Subject item={item} />
      </td>
      <td className={`${css.wide} ${css.reason}`} title={said(item)}>
        {said(item)}
      </td>
      <td className={css.more}>
        <button type="button" aria-expanded={shown} aria-label={`Details of entry ${position}`} onClick={toggle}>
          <Icon sign={shown ? 'down' : 'right'} size={14} />
        </button>
      </td>
    </tr>
  )
}

const said = ({ entry }: AuditItem) => (typeof entry.data['reason'] === 'string' ? entry.data['reason'] : '')

/** An incident, or the remediation of one, leads to its page. */
function Subject({ item }: { item: AuditItem }) {
  const { subject, data } = item.entry
  const incident = subject.startsWith('inc_') ? subject : data['incident']
  const target =
    typeof data['target'] === 'string' ? data['target'] : typeof data['entity'] === 'string' ? data['entity'] : null
  return (
    <>
      {typeof incident === 'string' ? (
        <Link to="/incidents/$id" params={{ id: incident }}>
          {target ? entityName(target) : subject}
        </Link>
      ) : (
        subject
      )}
    </>
  )
}

function Details({ item }: { item: AuditItem }) {
  return (
    <tr className={css.details}>
      <td colSpan={7}>
        <pre tabIndex={0} aria-label={`Entry ${item.position}`}>
          {JSON.stringify(item.entry, null, 2)}
        </pre>
        <p>
          Leaf <code>{item.leaf}</code>
        </p>
      </td>
    </tr>
  )
}
