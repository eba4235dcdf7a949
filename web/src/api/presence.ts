/**
 * Whether somebody is at this page: when it was last touched. `main.tsx` begins to watch; `http.ts` asks, because what
 * the page reads by itself must not keep a session open that its owner has walked away from.
 */

const UNATTENDED_MS = 2 * 60_000

let touchedAt = Date.now()
let pointer = ''

const touched = () => {
  touchedAt = Date.now()
}

/** Browsers also tell of a pointer that rests while the page moves under it. */
const moved = ({ screenX, screenY }: PointerEvent) => {
  const now = `${screenX} ${screenY}`
  if (now !== pointer) touched()
  pointer = now
}

/** Watch from now on; returns the function that stops. */
export function watchPresence(): () => void {
  const stop = new AbortController()
  const options = { capture: true, passive: true, signal: stop.signal }
  touched()
  for (const name of ['pointerdown', 'keydown', 'wheel'] as const) addEventListener(name, touched, options)
  addEventListener('pointermove', moved, options)
  return () => stop.abort()
}

export function unattended(): boolean {
  return Date.now() - touchedAt >= UNATTENDED_MS
}
