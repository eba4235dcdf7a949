import { fireEvent, screen } from '@testing-library/react'
import { describe, expect, it } from 'vitest'
import { AuditTable } from '../../src/audit/AuditTable'
import { show } from '../render'
import { user } from '../samples'

const item = {
  position: 7,
  leaf: 'ab12',
  recorded_at: '2026-01-01T10:00:00Z',
  entry: {
    v: 1,
    kind: 'approval:refused',
    at: '2026-01-01T10:00:00Z',
    actor: 'ada@example.org',
    subject: 'rem_1',
    data: { reason: 'you asked for it yourself' },
  },
}

describe('the audit table', () => {
  it('opens an entry by its row and closes it again', () => {
    show(<AuditTable items={[item]} at={undefined} />, user())
    fireEvent.click(screen.getByText('ada@example.org'))
    expect(screen.getByLabelText('Entry 7')).toBeTruthy()
    fireEvent.click(screen.getByText('rem_1'))
    expect(screen.queryByLabelText('Entry 7')).toBeNull()
  })

  it('opens it once by its button, not twice by button and row', () => {
    show(<AuditTable items={[item]} at={undefined} />, user())
    fireEvent.click(screen.getByRole('button', { name: 'Details of entry 7' }))
    expect(screen.getByLabelText('Entry 7')).toBeTruthy()
  })

  it('says why something was refused', () => {
    show(<AuditTable items={[item]} at={undefined} />, user())
    expect(screen.getByText('you asked for it yourself')).toBeTruthy()
  })
})
