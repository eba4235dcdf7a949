import { describe, expect, it } from 'vitest'
import { rest } from '../../src/incident/WhyLine'

describe('the why line', () => {
  it('does not repeat the heading', () =>
    expect(rest('cart is slow; restarting deployment/shop/cart waits for 1 approval.', 'cart is slow')).toBe(
      'Restarting shop / cart waits for 1 approval.',
    ))
  it('is never empty', () => expect(rest('cart is slow', 'cart is slow')).toBe('Cart is slow'))
})
