import { screen } from '@testing-library/react'
import { describe, expect, it } from 'vitest'
import { PlanView, reach } from '../../src/remediation/PlanView'
import { show } from '../render'
import { plan, user } from '../samples'

describe('the plan', () => {
  it('shows what changes, how far it reaches and how it would be undone', () => {
    show(<PlanView plan={plan()} decision={null} digest="aa11bb22cc33dd44" />, user())
    expect(screen.getByText('spec.replicas')).toBeTruthy()
    expect(screen.getByText('3 of 3 pods of cart')).toBeTruthy()
    expect(screen.getByText('Scale deployment shop / cart, replicas 3')).toBeTruthy()
    expect(screen.getByText('aa11bb22cc33')).toBeTruthy()
  })

  it('says plainly that there is no way back', () => {
    show(<PlanView plan={plan({ inverse: null, reversible: false })} decision={null} digest={null} />, user())
    expect(screen.getByText('Cannot be taken back')).toBeTruthy()
  })

  it('shows text from outside as text', () => {
    const evil = '<img src=x onerror=alert(1)>'
    const { container } = show(<PlanView plan={plan({ warnings: [evil] })} decision={null} digest={null} />, user())
    expect(container.querySelector('img')).toBeNull()
    expect(screen.getByText(evil)).toBeTruthy()
  })

  it('counts one pod as one pod', () => expect(reach({ pods: 1, fraction: 'unknown', service: null })).toBe('1 pod'))
})
