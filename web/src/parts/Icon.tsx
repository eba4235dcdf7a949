/** The few signs this page uses, drawn here so that nothing is loaded. Always beside text, so hidden from readers. */

import type { ReactNode } from 'react'

const SIGNS = {
  overview: <path d="M3 13h4l2.5-7 5 13 2.5-6h4" />,
  audit: (
    <>
      <path d="M6 3h9l4 4v14H6z" />
      <path d="M9.5 12.5l2 2 4-4" />
    </>
  ),
  stop: (
    <>
      <path d="M8.2 3h7.6L21 8.2v7.6L15.8 21H8.2L3 15.8V8.2z" />
      <path d="M9 9h6v6H9z" fill="currentColor" />
    </>
  ),
  play: <path d="M7 4.5v15l12-7.5z" />,
  eye: (
    <>
      <path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z" />
      <circle cx="12" cy="12" r="2.8" />
    </>
  ),
  hand: (
    <path d="M8 12V5.5a1.5 1.5 0 0 1 3 0V11V4a1.5 1.5 0 0 1 3 0v7V5.5a1.5 1.5 0 0 1 3 0V14c0 4-2.3 7-6 7-3 0-4.6-1.6-6.5-5l-1.7-3a1.4 1.4 0 0 1 2.4-1.5z" />
  ),
  bolt: <path d="M13 2.5 5 13.5h6l-1 8 8-11h-6z" />,
  critical: (
    <>
      <path d="M8.2 3h7.6L21 8.2v7.6L15.8 21H8.2L3 15.8V8.2z" fill="currentColor" fillOpacity=".16" />
      <path d="M12 7.5v5.5M12 16.2v.3" />
    </>
  ),
  high: (
    <>
      <path d="M12 3.5 22 20.5H2z" fill="currentColor" fillOpacity=".14" />
      <path d="M12 10v5M12 17.6v.2" />
    </>
  ),
  medium: (
    <>
      <path d="M12 2.8 21.2 12 12 21.2 2.8 12z" />
      <path d="M12 8.5v4.5M12 15.6v.2" />
    </>
  ),
  low: (
    <>
      <circle cx="12" cy="12" r="9" />
      <path d="M12 11v5M12 8v.2" />
    </>
  ),
  check: <path d="M4.5 12.5 10 18 20 7" />,
  done: (
    <>
      <circle cx="12" cy="12" r="9" />
      <path d="M8 12.3l2.8 2.8L16 9.8" />
    </>
  ),
  cross: <path d="M6 6l12 12M18 6 6 18" />,
  refused: (
    <>
      <circle cx="12" cy="12" r="9" />
      <path d="M5.8 5.8l12.4 12.4" />
    </>
  ),
  wait: (
    <>
      <circle cx="12" cy="12" r="9" />
      <path d="M12 7v5.3l3.4 2" />
    </>
  ),
  run: (
    <>
      <path d="M20.5 12a8.5 8.5 0 1 1-2.6-6.1" />
      <path d="M20.5 3v4.5H16" />
    </>
  ),
  undo: (
    <>
      <path d="M4 9h10.5a5.5 5.5 0 0 1 0 11H9" />
      <path d="M8 5 4 9l4 4" />
    </>
  ),
  unknown: (
    <>
      <circle cx="12" cy="12" r="9" />
      <path d="M9.5 9.5a2.6 2.6 0 1 1 3.7 2.4c-.8.4-1.2.9-1.2 1.9M12 16.6v.2" />
    </>
  ),
  same: <path d="M5 9.5h14M5 14.5h14" />,
  person: (
    <>
      <circle cx="12" cy="8" r="4" />
      <path d="M4 20.5c1-4 4-6 8-6s7 2 8 6" />
    </>
  ),
  sun: (
    <>
      <circle cx="12" cy="12" r="4" />
      <path d="M12 2.5V5M12 19v2.5M2.5 12H5M19 12h2.5M5.3 5.3 7 7M17 17l1.7 1.7M18.7 5.3 17 7M7 17l-1.7 1.7" />
    </>
  ),
  moon: <path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z" />,
  half: (
    <>
      <circle cx="12" cy="12" r="8.5" />
      <path d="M12 3.5a8.5 8.5 0 0 1 0 17z" fill="currentColor" />
    </>
  ),
  copy: (
    <>
      <path d="M9 9h11v11H9z" />
      <path d="M15 9V4H4v11h5" />
    </>
  ),
  down: <path d="M6 9.5l6 6 6-6" />,
  right: <path d="M9.5 6l6 6-6 6" />,
  search: (
    <>
      <circle cx="10.5" cy="10.5" r="6.5" />
      <path d="M15.5 15.5 21 21" />
    </>
  ),
} satisfies Record<string, ReactNode>

export type Sign = keyof typeof SIGNS

export function Icon({ sign, size = 16 }: { sign: Sign; size?: number }) {
  return (
    <svg
      viewBox="0 0 24 24"
      width={size}
      height={size}
      fill="none"
      stroke="currentColor"
      strokeWidth="2"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {SIGNS[sign]}
    </svg>
  )
}
