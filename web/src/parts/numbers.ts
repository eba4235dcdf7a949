/** Numbers and times as people read them. */

export function percent(share: number | null | undefined, digits = 0): string {
  return share === null || share === undefined ? '–' : `${(100 * share).toFixed(digits)}%`
}

/** A value with its unit, short enough for a table cell: `82.0%`, `412 MiB`, `180 ms`, `34.2 req/s`. */
export function amount(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined) return 'no sample'
  if (unit === 'ratio') return percent(value, 1)
  if (unit === 'bytes') return bytes(value)
  if (unit === 's') return Math.abs(value) < 1 ? `${rounded(1000 * value)} ms` : `${rounded(value)} s`
  return `${rounded(value)} ${unitName(value, unit)}`.trim()
}

/** The same on an axis, where the name beside it says what is counted. */
export function tick(value: number, unit: string): string {
  return ['ratio', 'bytes', 's'].includes(unit) && value !== 0 ? amount(value, unit) : rounded(value)
}

/** `restarts in five minutes` needs no unit, and one pod is no `pods`. */
function unitName(value: number, unit: string): string {
  if (unit === 'restarts/5m') return ''
  return unit === 'pods' && value === 1 ? 'pod' : unit
}

function bytes(value: number): string {
  const gibibytes = value / 2 ** 30
  return Math.abs(gibibytes) >= 1 ? `${gibibytes.toFixed(2)} GiB` : `${rounded(value / 2 ** 20)} MiB`
}

/** Three figures that matter, never in scientific notation. */
export function rounded(value: number): string {
  const size = Math.abs(value)
  if (size < 0.005) return '0'
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en')
  return size >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** `8 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`: the two largest units. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  const steps: [number, string, number, string][] = [
    [86_400, 'd', 3_600, 'h'],
    [3_600, 'h', 60, 'min'],
    [60, 'min', 1, 's'],
  ]
  for (const [size, unit, next, smaller] of steps) {
    if (whole < size) continue
    const rest = Math.floor((whole % size) / next)
    return rest ? `${Math.floor(whole / size)} ${unit} ${rest} ${smaller}` : `${Math.floor(whole / size)} ${unit}`
  }
  return `${whole} s`
}

/** How long ago, in one unit: `now`, `40 s ago`, `12 min ago`, `3 h ago`, `5 d ago`. */
export function ago(seconds: number): string {
  if (seconds < 5) return 'now'
  if (seconds < 60) return `${Math.round(seconds)} s ago`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ago`
  return `${Math.floor(seconds / 86_400)} d ago`
}

export const secondsBetween = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / 1000
