import { describe, expect, it } from 'vitest'
import { inside } from '../../src/auth/session'

describe('where a login leads', () => {
  it.each(['/incidents/inc_1?x=1#rem_1', '/audit?q=a'])('to %s, inside this page', (next) =>
    expect(inside(next)).toBe(next),
  )
  it.each([
    'https://evil.example/',
    '//evil.example/',
    '/\\evil.example/',
    '/\t/evil.example/',
    'javascript:alert(1)',
    '/login?next=/login',
    '',
    undefined,
  ])('not to %s', (next) => expect(inside(next)).toBe('/'))
})
