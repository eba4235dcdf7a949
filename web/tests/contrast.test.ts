/** Axe sees no canvas and no state that is not on screen; the palette is held to WCAG 1.4.3 here, on every ground. */

import { describe, expect, it } from 'vitest'
import palette from '../src/tokens.css?raw'

const [light, dark] = ((css: string) => {
  const blocks = [...css.matchAll(/^:root[^{]*\{([^}]*)\}/gm)].map(([, body]) =>
    Object.fromEntries([...(body ?? '').matchAll(/--([a-z-]+): (#[0-9a-f]{6});/g)].map(([, name, hex]) => [name, hex])),
  )
  return [blocks[0] ?? {}, { ...blocks[0], ...blocks[1] }]
})(palette) as [Record<string, string>, Record<string, string>]

function luminance(hex: string): number {
  const [red, green, blue] = [1, 3, 5]
    .map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)) as [number, number, number]
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function contrast(one: string, other: string): number {
  const [dim, bright] = [luminance(one), luminance(other)].toSorted((a, b) => a - b) as [number, number]
  return (bright + 0.05) / (dim + 0.05)
}

const TEXTS = ['text', 'muted', 'accent', 'good', 'info', 'warn', 'high', 'bad']
const GROUNDS = ['ground', 'surface', 'sunken', 'raised']
const PAIRS = [
  ...TEXTS.flatMap((text) => GROUNDS.map((ground) => [text, ground])),
  ['accent', 'accent-soft'],
  ['good', 'good-soft'],
  ['warn', 'warn-soft'],
  ['bad', 'bad-soft'],
  ['text', 'accent-soft'],
  ['text', 'warn-soft'],
  ['text', 'bad-soft'],
] as [string, string][]

describe.each([
  ['light', light],
  ['dark', dark],
])('in the %s palette', (_, tokens) => {
  it.each(PAIRS)('%s on %s can be read', (text, ground) => {
    expect(contrast(tokens[text] ?? '', tokens[ground] ?? '')).toBeGreaterThanOrEqual(4.5)
  })

  it.each(['plot-value', 'plot-expected', 'plot-mark'])('%s can be told from the surface', (line) => {
    expect(contrast(tokens[line] ?? '', tokens['surface'] ?? '')).toBeGreaterThanOrEqual(3)
  })
})
