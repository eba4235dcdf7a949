import { describe, expect, it } from 'vitest'
import { titles } from '../../src/incident/Timeline'

const event = (title: string) => ({
  at: '2026-01-01T10:00:00Z',
  stage: 'act',
  title,
  detail: '',
  data: {},
  audit_position: null,
})
const shown = (...all: string[]) => titles(all.map(event)).map(({ title }) => title)

describe('the timeline', () => {
  it('says what is done to what once, then only its steps', () =>
    expect(
      shown(
        'restart_deployment on Deployment/shop/cart: proposed',
        'ada@example.org approved restart_deployment on Deployment/shop/cart',
        'restart_deployment on Deployment/shop/cart: approved',
      ),
    ).toEqual([
      'restart_deployment on Deployment/shop/cart: proposed',
      'ada@example.org approved restart_deployment on Deployment/shop/cart',
      'approved',
    ]))

  it('says it again when something else is done', () =>
    expect(
      shown(
        'scale_deployment on Deployment/shop/cart: harmed',
        'Undo: scale_deployment on Deployment/shop/cart: proposed',
        'Undo: scale_deployment on Deployment/shop/cart: ready',
        'scale_deployment on Deployment/shop/cart: undone',
      ),
    ).toEqual([
      'scale_deployment on Deployment/shop/cart: harmed',
      'Undo: scale_deployment on Deployment/shop/cart: proposed',
      'ready',
      'scale_deployment on Deployment/shop/cart: undone',
    ]))
})
