import { describe, expect, it } from 'vitest'
import { ago, amount, duration, percent } from '../../src/parts/numbers'

describe('numbers as people read them', () => {
  it.each([
    [0.912, 'ratio', '91.2%'],
    [432013312, 'bytes', '412 MiB'],
    [2 ** 31, 'bytes', '2.00 GiB'],
    [0.0882, 's', '88.2 ms'],
    [2.5, 's', '2.50 s'],
    [34.16, 'req/s', '34.2 req/s'],
    [3, 'pods', '3 pods'],
    [1, 'pods', '1 pod'],
    [0.0003, 'pods', '0 pods'],
    [5, 'restarts/5m', '5'],
    [null, 'ratio', 'no sample'],
  ])('%s %s is %s', (value, unit, text) => expect(amount(value, unit)).toBe(text))

  it.each([
    [8, '8 s'],
    [250, '4 min 10 s'],
    [3600, '1 h'],
    [7500, '2 h 5 min'],
    [273_600, '3 d 4 h'],
    [-4, '0 s'],
  ])('%s seconds are %s', (seconds, text) => expect(duration(seconds)).toBe(text))

  it('a moment ago, in the future by a skewed clock, is now', () => expect(ago(-3)).toBe('now'))
  it('an hour and a half is one hour ago', () => expect(ago(5_400)).toBe('1 h ago'))
  it('an unknown share is a dash', () => expect(percent(null)).toBe('–'))
})
