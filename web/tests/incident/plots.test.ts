import { describe, expect, it } from 'vitest'
import type { IncidentSeries, SignalSeries } from '../../src/api/types'
import { order } from '../../src/incident/Plots'
import { rows } from '../../src/incident/SampleTable'
import { columns, extent, newest, summary, worst } from '../../src/incident/SignalPlot'

const signal = (...values: (number | null)[]): SignalSeries => ({
  unit: 'ratio',
  values,
  expected: null,
  low: null,
  high: null,
})
const evidence = (name: string) => ({
  signal: name,
  unit: 'ratio',
  value: 1,
  expected: null,
  low: null,
  high: null,
  share: null,
})

describe('the plots', () => {
  it('show what raised the incident first, context after it, and nothing without samples', () => {
    const series: IncidentSeries = {
      times: [0, 1],
      marks: [],
      signals: { request_rate: signal(1, 2), error_ratio: signal(0, 1), restarts: signal(null, null) },
    }
    const incident = { evidence: [evidence('error_ratio'), evidence('gone')] }
    expect(order(series, incident)).toEqual(['error_ratio', 'request_rate'])
  })

  it('keep gaps as gaps where there was no sample or no band', () => {
    const drawn = columns([0, 1], signal(0.5, null))
    expect(drawn).toEqual([
      [0, 1],
      [null, null],
      [null, null],
      [null, null],
      [0.5, null],
    ])
  })

  it('take the newest sample there is, not the newest time', () => expect(newest(signal(1, 2, null))).toBe(1))

  it('name the sample that is furthest outside its usual band, above or below', () => {
    const band = { low: [0.1, 0.1, 0.1], high: [0.3, 0.3, 0.3] }
    expect(worst({ ...signal(0.2, 0.9, 0.4), ...band })).toBe(1)
    expect(worst({ ...signal(0.2, 0.31, 0), ...band })).toBe(2)
    expect(worst({ ...signal(0.2, null, 0.2), ...band })).toBeNull()
    expect(worst(signal(1, 2, 3))).toBeNull()
  })

  it('say in words what the picture shows', () =>
    expect(summary('Error ratio', signal(0.1, 0.4, 0.2))).toBe('Error ratio: from 10.0% to 40.0%, now 20.0%'))

  it('draw no ratio below zero and give a flat line room', () => {
    expect(extent(0.01, 0.4, 'ratio')[0]).toBe(0)
    const [low, high] = extent(5, 5, 'pods')
    expect(low).toBeLessThan(5)
    expect(high).toBeGreaterThan(5)
  })
})

describe('the table of samples', () => {
  it('is thinned but keeps the moments at which something happened', () => {
    const times = Array.from({ length: 240 }, (_, index) => index * 15)
    const shown = rows({ times, marks: [{ at: 1_006, kind: 'detected', label: 'Anomaly found' }] }, 60)
    expect(shown.length).toBe(61)
    expect(shown.find(({ marks }) => marks.length > 0)).toEqual({ index: 67, marks: ['Anomaly found'] })
    expect(shown.map(({ index }) => index)).toEqual(shown.map(({ index }) => index).toSorted((a, b) => a - b))
  })
})
