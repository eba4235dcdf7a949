/** Asks for a reason before something that others will want to understand later; the reason goes into the audit log. */

import { Button, Modal, Textarea, TextInput } from '@mantine/core'
import { useEffect, useState, type ReactNode } from 'react'
import { Refused } from './States'
import css from './ReasonDialog.module.css'

interface Props {
  title: string
  children: ReactNode
  verb: string
  color?: string
  /** Text to be typed exactly, for what cannot be taken back. */
  typed?: string
  /** Whether a reason is asked for at all. */
  reasoned?: boolean
  busy: boolean
  error: unknown
  onClose: () => void
  onDo: (reason: string) => void
}

/** Whoever opened the dialog has the focus again when it is gone. */
function useReturnOfFocus(): void {
  const [opener] = useState(() => document.activeElement)
  useEffect(() => () => (opener instanceof HTMLElement ? opener.focus() : undefined), [opener])
}

export function ReasonDialog(props: Props) {
  const { title, children, verb, color, typed, reasoned = true, busy, error, onClose, onDo } = props
  const [reason, setReason] = useState('')
  const [echo, setEcho] = useState('')
  useReturnOfFocus()
  const ready = (!reasoned || reason.trim() !== '') && (typed === undefined || echo.trim() === typed)
  return (
    <Modal opened onClose={onClose} title={title} centered closeButtonProps={{ 'aria-label': 'Close' }}>
      <form
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault()
          if (ready && !busy) onDo(reason.trim())
        }}
      >
        <div className={css.text}>{children}</div>
        {typed !== undefined && (
          <TextInput
            label={`Type ${typed} to confirm`}
            value={echo}
            onChange={(event) => setEcho(event.currentTarget.value)}
            autoComplete="off"
            data-autofocus
          />
        )}
        {reasoned && (
          <Textarea
            label="Reason"
            description="Kept in the audit log with your name."
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
            maxLength={500}
            rows={3}
            required
            data-autofocus={typed === undefined ? true : undefined}
          />
        )}
        <Refused error={error} />
        <div className={css.ends}>
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={busy} disabled={!ready} {...(color ? { color } : {})}>
            {verb}
          </Button>
        </div>
      </form>
    </Modal>
  )
}
