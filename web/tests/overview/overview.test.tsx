import { screen } from '@testing-library/react'
import { afterEach, describe, expect, it } from 'vitest'
import { useLive } from '../../src/api/live'
import type { IncidentSummary } from '../../src/api/types'
import { Fix } from '../../src/overview/IncidentTable'
import { SystemStrip } from '../../src/overview/SystemStrip'
import { show } from '../render'
import { state, user } from '../samples'

const incident = (special: Partial<IncidentSummary>): IncidentSummary => ({
  id: 'inc_1',
  entity: 'deployment/shop/search',
  namespace: 'shop',
  class: 'error_burst',
  probability: 0.78,
  severity: 'high',
  state: 'open',
  sentence: 'search in shop: error ratio is 20.2%',
  opened_at: '2026-01-01T10:00:00Z',
  first_abnormal_at: '2026-01-01T10:00:00Z',
  last_abnormal_at: '2026-01-01T10:00:00Z',
  closed_at: null,
  remediation_state: null,
  because_of: null,
  ...special,
})

afterEach(() => useLive.setState({ link: 'connecting' }))

describe('the overview', () => {
  it('names whose fault a victim suffers from in the place of a fix', () => {
    show(
      <Fix incident={incident({ because_of: [{ incident: 'inc_2', entity: 'deployment/shop/catalog' }] })} />,
      user(),
    )
    expect(screen.getByText('Because of catalog')).toBeTruthy()
  })

  it('claims to know whose fault it is only where few can be', () => {
    const others = ['catalog', 'mail', 'cart'].map((name) => ({ incident: name, entity: `deployment/shop/${name}` }))
    const { again } = show(<Fix incident={incident({ because_of: others.slice(0, 2) })} />, user())
    expect(screen.getByText('Because of catalog or mail')).toBeTruthy()
    again(<Fix incident={incident({ because_of: others })} />)
    expect(screen.getByText('Because of one of 3 others')).toBeTruthy()
    again(<Fix incident={incident({ because_of: [] })} />)
    expect(screen.getByText('Because of a dependency')).toBeTruthy()
  })

  it('shows how far a fix came before anything else', () => {
    show(<Fix incident={incident({ because_of: [], remediation_state: 'awaiting_approval' })} />, user())
    expect(screen.getByText('Needs approval')).toBeTruthy()
  })

  it('claims nothing of now while Aegis cannot be reached', () => {
    const well = { name: 'engine', instance: 'a', status: 'ok' as const, detail: '', seen_at: null }
    useLive.setState({ link: 'offline' })
    show(<SystemStrip state={state({ processes: [well] })} />, user())
    expect(screen.getByText('Running when last heard')).toBeTruthy()
    expect(screen.queryByText('ok')).toBeNull()
  })
})
