/**
 * A button that stays reachable when it may not be used: focusing it tells why. It is announced as disabled and does
 * nothing, but unlike a truly disabled button it can say which permission is missing.
 */

import { Button, Tooltip, type ButtonProps } from '@mantine/core'
import { useId, type MouseEvent, type ReactNode } from 'react'
import { useLive } from '../api/live'
import type { Permission } from '../api/types'
import { useMay } from '../auth/session'
import { missing } from './States'

interface Props extends ButtonProps {
  permission: Permission
  onClick: () => void
  children: ReactNode
  /** Another reason why not, which comes after the missing permission. */
  blocked?: string | null
  name?: string
}

export function Guarded({ permission, onClick, children, blocked = null, name, ...rest }: Props) {
  const may = useMay(permission)
  const offline = useLive((live) => live.link === 'offline')
  const why = !may ? missing(permission) : offline ? 'Aegis cannot be reached; nothing is sent later.' : blocked
  const id = useId()
  const click = (event: MouseEvent) => (why ? event.preventDefault() : onClick())
  return (
    <>
      <Tooltip label={why} disabled={!why} multiline maw={280} events={{ hover: true, focus: true, touch: true }}>
        <Button
          {...rest}
          {...(name ? { 'aria-label': name } : {})}
          onClick={click}
          {...(why ? { 'data-disabled': true, 'aria-disabled': true, 'aria-describedby': id } : {})}
        >
          {children}
        </Button>
      </Tooltip>
      {why && (
        <span id={id} className="away">
          {why}
        </span>
      )}
    </>
  )
}
