/** Wiring: theme with its style nonce, cache, presence, live events, router. */

import '@fontsource-variable/inter/wght.css'
import './mantine.css'
import './tokens.css'

import { MantineProvider } from '@mantine/core'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { setNonce } from 'get-nonce'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { watchPresence } from './api/presence'
import { createClient } from './api/queries'
import { createPages } from './router'
import { theme, variables } from './theme'

// Styles that libraries make at run time carry this page's nonce: Mantine's own, and those of its scroll lock.
const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? ''
setNonce(nonce)

watchPresence()
const client = createClient(() => pages.lost())
const pages = createPages(client)

const root = document.querySelector('#root')
if (root) {
  createRoot(root).render(
    <StrictMode>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={variables}
        defaultColorScheme="auto"
        getStyleNonce={() => nonce}
      >
        <QueryClientProvider client={client}>
          <RouterProvider router={pages.router} />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  )
}
