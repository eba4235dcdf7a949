/** The pages and their addresses. The URL is the state: filters and pages are typed search parameters. */

import type { QueryClient } from '@tanstack/react-query'
import {
  Outlet,
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from '@tanstack/react-router'
import { authQuery } from './api/queries'
import { inside } from './auth/session'
import { Broken, Missing } from './shell/Broken'
import { Shell } from './shell/Shell'

export interface LoginSearch {
  next?: string
}
export interface OverviewSearch {
  state?: 'closed' | 'all'
  cursor?: string
}
export interface AuditSearch {
  q?: string
  before?: number
  at?: number
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : typeof value === 'number' ? String(value) : undefined
const whole = (value: unknown): number | undefined => {
  const number = Number(value)
  return value !== '' && Number.isInteger(number) && number >= 0 ? number : undefined
}
/** Where to go on after the login; the first page is where everybody goes anyway. */
const back = (next: string): LoginSearch => (next === '/' ? {} : { next })
/** Only what is given: an absent filter leaves no trace in the URL. */
const given = <T extends object>(search: T) =>
  Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]?: Exclude<T[Name], undefined>
  }

const root = createRootRouteWithContext<{ client: QueryClient }>()({
  component: Outlet,
  errorComponent: Broken,
  notFoundComponent: Missing,
})

const guest = createRoute({ getParentRoute: () => root, id: 'guest' })

const login = createRoute({
  getParentRoute: () => guest,
  path: '/login',
  validateSearch: (search): LoginSearch => given({ next: text(search['next']) }),
  beforeLoad: async ({ context, search }) => {
    const auth = await context.client.ensureQueryData(authQuery())
    if (auth.first_admin_needed) throw redirect({ to: '/first-admin', replace: true })
    if (auth.user) throw redirect({ href: inside(search.next), replace: true })
  },
  component: lazyRouteComponent(() => import('./auth/Login'), 'Login'),
})

const firstAdmin = createRoute({
  getParentRoute: () => guest,
  path: '/first-admin',
  beforeLoad: async ({ context }) => {
    const auth = await context.client.ensureQueryData(authQuery())
    if (!auth.first_admin_needed) throw redirect({ to: '/login', replace: true })
  },
  component: lazyRouteComponent(() => import('./auth/FirstAdmin'), 'FirstAdmin'),
})

const member = createRoute({
  getParentRoute: () => root,
  id: 'member',
  beforeLoad: async ({ context, location }) => {
    const auth = await context.client.ensureQueryData(authQuery())
    if (auth.first_admin_needed) throw redirect({ to: '/first-admin', replace: true })
    if (!auth.user) throw redirect({ to: '/login', search: back(location.href), replace: true })
  },
  component: Shell,
})

const overview = createRoute({
  getParentRoute: () => member,
  path: '/',
  validateSearch: (search): OverviewSearch => {
    const state = search['state']
    return given({ state: state === 'closed' || state === 'all' ? state : undefined, cursor: text(search['cursor']) })
  },
  component: lazyRouteComponent(() => import('./overview/Overview'), 'Overview'),
})

const incident = createRoute({
  getParentRoute: () => member,
  path: '/incidents/$id',
  component: lazyRouteComponent(() => import('./incident/IncidentPage'), 'IncidentPage'),
})

const audit = createRoute({
  getParentRoute: () => member,
  path: '/audit',
  validateSearch: (search): AuditSearch =>
    given({ q: text(search['q']), before: whole(search['before']), at: whole(search['at']) }),
  component: lazyRouteComponent(() => import('./audit/AuditPage'), 'AuditPage'),
})

const tree = root.addChildren([guest.addChildren([login, firstAdmin]), member.addChildren([overview, incident, audit])])

export function createPages(client: QueryClient) {
  const router = createRouter({
    routeTree: tree,
    context: { client },
    defaultPreload: 'intent',
    defaultPendingMs: 300,
    scrollRestoration: true,
    defaultErrorComponent: Broken,
  })
  /** The session is over: forget what was read under it and come back here after the next login. */
  const lost = () => {
    // Every request that was under way hears of it; only the first knows where we were.
    if (client.getQueryData(authQuery().queryKey)?.user === null) return
    const next = router.latestLocation.href
    client.removeQueries({ predicate: (query) => query.queryKey[0] !== 'auth' })
    client.setQueryData(authQuery().queryKey, { first_admin_needed: false, user: null })
    void router.navigate({ to: '/login', search: back(inside(next)) })
  }
  // A new page is announced and tabbed through from its beginning.
  router.subscribe('onResolved', ({ pathChanged, fromLocation }) => {
    if (!pathChanged || !fromLocation) return
    const first = document.querySelector<HTMLElement>('#main [data-autofocus]') ?? document.querySelector('#main')
    if (first instanceof HTMLElement) first.focus({ preventScroll: true })
  })
  return { router, lost }
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createPages>['router']
  }
}
