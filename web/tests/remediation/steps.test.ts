import { describe, expect, it } from 'vitest'
import { standings, telling } from '../../src/remediation/steps'
import { history } from '../samples'

const told = (...found: ReturnType<typeof standings>) => found.map(({ name, standing }) => `${name} ${standing}`)

describe('the way of a remediation', () => {
  it('stands at the approval while it waits for one', () =>
    expect(
      told(...standings({ state: 'awaiting_approval', history: history('proposed', 'awaiting_approval') })),
    ).toEqual(['Decide done', 'Approve now', 'Act ahead', 'Verify ahead', 'End ahead']))

  it('leaves out the approval that policy did not ask for', () =>
    expect(
      told(...standings({ state: 'executing', history: history('proposed', 'approved', 'ready', 'executing') })),
    ).toEqual(['Decide done', 'Act now', 'Verify ahead', 'End ahead']))

  it('shows where a refused one ended and nothing that never happened', () =>
    expect(told(...standings({ state: 'closed', history: history('proposed', 'denied', 'closed') }))).toEqual([
      'Decide failed',
      'End done',
    ]))

  it('tells of a closed one what it came to', () => {
    expect(telling({ state: 'closed', history: history('proposed', 'verifying', 'helped', 'closed') })).toBe('helped')
    expect(telling({ state: 'verifying', history: history('verifying') })).toBe('verifying')
  })
})
