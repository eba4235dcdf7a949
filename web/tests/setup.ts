/** What every test has: a clean page, and the browser pieces that jsdom lacks. */

import { cleanup } from '@testing-library/react'
import { afterEach, vi } from 'vitest'

// uPlot asks for the pixel ratio while it is imported, so these are there before any test.
vi.stubGlobal('matchMedia', (query: string) => ({
  matches: false,
  media: query,
  addEventListener: () => undefined,
  removeEventListener: () => undefined,
}))
vi.stubGlobal(
  'ResizeObserver',
  class {
    observe = () => undefined
    unobserve = () => undefined
    disconnect = () => undefined
  },
)

afterEach(() => {
  cleanup()
  localStorage.clear()
})
