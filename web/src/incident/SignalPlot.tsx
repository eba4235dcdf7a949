/** One signal over time: value, expected and usual band, drawn by uPlot on a canvas; numbers and marks are real text. */

import 'uplot/dist/uPlot.min.css'

import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import type { Mark, SignalSeries } from '../api/types'
import { clock, type Zone } from '../parts/clock'
import { amount, tick } from '../parts/numbers'
import css from './SignalPlot.module.css'

interface Props {
  name: string
  times: number[]
  signal: SignalSeries
  /** Whether it is evidence, and not only there for comparison. */
  judged: boolean
  marks: Mark[]
  zone: Zone
  /** Only the lowest plot carries the time axis. */
  last: boolean
  /** The sample under the pointer, shared by all plots; null: the newest. */
  cursor: number | null
  onCursor: (index: number | null) => void
}

const HEIGHT = 104
const AXIS = 26

export function SignalPlot({ name, times, signal, judged, marks, zone, last, cursor, onCursor }: Props) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)

  useEffect(() => {
    const element = place.current
    if (!element) return undefined
    const made = new uPlot(options({ element, signal, marks, zone, last, onCursor }), columns(times, signal), element)
    plot.current = made
    const resized = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height: height(last) })
    })
    resized.observe(element)
    return () => {
      resized.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [times, signal, marks, zone, last, onCursor])

  const index = cursor ?? newest(signal)
  const extreme = judged ? worst(signal) : null
  return (
    <figure className={css.plot} aria-label={summary(name, signal)}>
      <figcaption className={css.caption}>
        <span className={css.name}>{name}</span>
        <span className={css.now}>
          {amount(signal.values[index], signal.unit)}
          {signal.expected && (
            <span className={css.expected}> expected {amount(signal.expected[index], signal.unit)}</span>
          )}
        </span>
        <span className={css.expected}>at {clock((times[index] ?? 0) * 1000, zone)}</span>
        {extreme !== null && (
          <span className={css.at}>
            at its worst <strong>{amount(signal.values[extreme], signal.unit)}</strong>,{' '}
            {clock((times[extreme] ?? 0) * 1000, zone)}
          </span>
        )}
      </figcaption>
      <div ref={place} className={css.canvas} style={{ height: height(last) }} />
    </figure>
  )
}

const height = (last: boolean) => (last ? HEIGHT + AXIS : HEIGHT)

export function newest(signal: SignalSeries): number {
  const index = signal.values.findLastIndex((value) => value !== null)
  return index < 0 ? signal.values.length - 1 : index
}

/** The sample that is furthest outside its usual band; null where none is outside. */
export function worst({ values, low, high }: SignalSeries): number | null {
  const beyond = values.map((value, place) => {
    const [least, most] = [low?.[place] ?? null, high?.[place] ?? null]
    if (value === null) return 0
    return Math.max(0, most === null ? 0 : value - most, least === null ? 0 : least - value)
  })
  const most = Math.max(0, ...beyond)
  return most > 0 ? beyond.indexOf(most) : null
}

/** What the picture shows, for who does not see it; the table below has the numbers. */
export function summary(name: string, signal: SignalSeries): string {
  const known = signal.values.filter((value) => value !== null)
  if (known.length === 0) return `${name}: no samples`
  const span = `from ${amount(Math.min(...known), signal.unit)} to ${amount(Math.max(...known), signal.unit)}`
  return `${name}: ${span}, now ${amount(signal.values[newest(signal)], signal.unit)}`
}

type Column = (number | null)[]

/** The columns in the order of `options().series`: time, high, low, expected, value. */
export function columns(times: number[], signal: SignalSeries): uPlot.AlignedData {
  const none: Column = times.map(() => null)
  return [times, signal.high ?? none, signal.low ?? none, signal.expected ?? none, signal.values]
}

interface Wanted {
  element: HTMLElement
  signal: SignalSeries
  marks: Mark[]
  zone: Zone
  last: boolean
  onCursor: (index: number | null) => void
}

function options({ element, signal, marks, zone, last, onCursor }: Wanted): uPlot.Options {
  const styles = getComputedStyle(document.documentElement)
  const token = (name: string) => styles.getPropertyValue(name).trim()
  const text = token('--muted')
  const font = `11px ${styles.getPropertyValue('--font')}`
  const grid = { stroke: token('--plot-grid'), width: 1 }
  const hidden = { stroke: 'transparent', points: { show: false } }
  return {
    width: element.clientWidth || 600,
    height: height(last),
    legend: { show: false },
    // To the right there is room for half a badge, and for half of the last time.
    padding: [8, 18, last ? 0 : 4, 0],
    cursor: { sync: { key: 'incident' }, y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: { x: { time: true }, y: { range: (_plot, low, high) => extent(low, high, signal.unit) } },
    axes: [
      {
        show: last,
        size: AXIS,
        gap: 4,
        font,
        stroke: text,
        grid,
        ticks: { show: false },
        values: (_plot, splits) => splits.map((at) => clock(at * 1000, zone, { seconds: false })),
      },
      {
        size: 56,
        gap: 6,
        font,
        stroke: text,
        grid,
        ticks: { show: false },
        space: 28,
        values: (_plot, splits) => splits.map((value) => tick(value, signal.unit)),
      },
    ],
    bands: [{ series: [1, 2], fill: token('--plot-band') }],
    series: [
      {},
      hidden,
      hidden,
      { stroke: token('--plot-expected'), dash: [4, 3], width: 1.25, points: { show: false } },
      { stroke: token('--plot-value'), width: 1.75, points: { show: false } },
    ],
    hooks: {
      ready: [(plot) => marks.forEach((mark, number) => plot.over.append(badge(mark, number)))],
      draw: [(plot) => drawMarks(plot, marks, token('--plot-mark'))],
      setSize: [(plot) => placeBadges(plot, marks)],
      setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)],
    },
  }
}

/** Room above and below; a ratio never below zero, a flat line in the middle. */
export function extent(low: number | null, high: number | null, unit: string): [number, number] {
  if (low === null || high === null) return [0, 1]
  const room = (high - low || Math.abs(high) || 1) * 0.12
  const floor = low >= 0 ? Math.max(0, low - room) : low - room
  return [unit === 'ratio' && low < 0.2 ? Math.min(0, floor) : floor, high + room]
}

function drawMarks(plot: uPlot, marks: Mark[], colour: string): void {
  const { ctx, bbox } = plot
  ctx.save()
  ctx.strokeStyle = colour
  ctx.lineWidth = devicePixelRatio
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio])
  for (const mark of marks) {
    const x = Math.round(plot.valToPos(mark.at, 'x', true))
    if (!within(x - bbox.left, bbox.width)) continue
    ctx.beginPath()
    ctx.moveTo(x, bbox.top)
    ctx.lineTo(x, bbox.top + bbox.height)
    ctx.stroke()
  }
  ctx.restore()
  placeBadges(plot, marks)
}

/** Whether a mark is on the plot; one at the newest sample may lie a pixel beyond it by rounding. */
const within = (x: number, width: number) => x >= -1 && x <= width + 1

function badge(mark: Mark, number: number): HTMLElement {
  const element = document.createElement('span')
  element.className = css.badge ?? ''
  element.dataset['kind'] = mark.kind
  element.textContent = String(number + 1)
  element.setAttribute('aria-hidden', 'true')
  return element
}

/** Badges stand at the top of their line; one that would cover its neighbour goes a row lower. */
function placeBadges(plot: uPlot, marks: Mark[]): void {
  const badges = plot.over.querySelectorAll<HTMLElement>('[data-kind]')
  let before = Number.NEGATIVE_INFINITY
  let row = 0
  marks.forEach((mark, number) => {
    const element = badges[number]
    if (!element) return
    const x = plot.valToPos(mark.at, 'x')
    row = x - before < 17 ? row + 1 : 0
    before = x
    element.hidden = !within(x, plot.over.clientWidth)
    element.style.left = `${x - 8}px`
    element.style.top = `${row * 17}px`
  })
}
