/** Renders a part of the page with what it lives in, and answers its requests from a list that the test can read. */

import { MantineProvider } from '@mantine/core'
import { QueryClientProvider } from '@tanstack/react-query'
import { render, type RenderResult } from '@testing-library/react'
import type { ReactNode } from 'react'
import { vi } from 'vitest'
import { authQuery, createClient } from '../src/api/queries'
import type { User } from '../src/api/types'

export interface Sent {
  method: string
  path: string
  body: unknown
}
export type Answer = (sent: Sent) => { status: number; body?: unknown }

export interface Shown extends RenderResult {
  sent: Sent[]
  /** Renders another part in the place of the one before. */
  again: (part: ReactNode) => void
}

export function show(part: ReactNode, who: User, answer: Answer = () => ({ status: 200, body: {} })): Shown {
  const sent: Sent[] = []
  vi.stubGlobal('fetch', async (request: Request) => {
    const { pathname, search } = new URL(request.url)
    const text = await request.text()
    const one = { method: request.method, path: pathname + search, body: text ? JSON.parse(text) : undefined }
    sent.push(one)
    const { status, body } = answer(one)
    return new Response(body === undefined ? null : JSON.stringify(body), { status })
  })
  const client = createClient(() => undefined)
  client.setQueryData(authQuery().queryKey, { first_admin_needed: false, user: who })
  const whole = (inner: ReactNode) => (
    <MantineProvider env="test">
      <QueryClientProvider client={client}>{inner}</QueryClientProvider>
    </MantineProvider>
  )
  const shown = render(whole(part))
  return { ...shown, sent, again: (other) => shown.rerender(whole(other)) }
}
