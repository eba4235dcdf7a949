/** What is kept in the browser's cache, how long it is fresh, and what each live event makes stale. */

import { QueryCache, QueryClient, queryOptions } from '@tanstack/react-query'
import * as api from './endpoints'
import { answered, unanswered, useLive, type Topic } from './live'
import { Problem } from './problem'

const POLL_MS = 5_000
const LIVE_POLL_MS = 30_000

/** Often while nothing is pushed, seldom while the stream is open. */
export const pace = (): number => (useLive.getState().link === 'live' ? LIVE_POLL_MS : POLL_MS)

export const authQuery = () =>
  queryOptions({ queryKey: ['auth'], queryFn: ({ signal }) => api.authState(signal), staleTime: 60_000 })

export const stateQuery = () =>
  queryOptions({ queryKey: ['state'], queryFn: ({ signal }) => api.systemState(signal), refetchInterval: POLL_MS })

export const waitingQuery = () =>
  queryOptions({ queryKey: ['waiting'], queryFn: ({ signal }) => api.waiting(signal), refetchInterval: pace })

export const incidentsQuery = (query: api.IncidentQuery) =>
  queryOptions({
    queryKey: ['incidents', query],
    queryFn: ({ signal }) => api.incidents(query, signal),
    refetchInterval: pace,
  })

export const incidentQuery = (id: string) =>
  queryOptions({
    queryKey: ['incident', id],
    queryFn: ({ signal }) => api.incident(id, signal),
    refetchInterval: pace,
  })

export const seriesQuery = (id: string, open: boolean) =>
  queryOptions({
    queryKey: ['incident', id, 'series'],
    queryFn: ({ signal }) => api.incidentSeries(id, signal),
    refetchInterval: open ? 15_000 : false,
  })

export const whyQuery = (subject: string) =>
  queryOptions({ queryKey: ['incident', subject, 'why'], queryFn: ({ signal }) => api.why(subject, signal) })

export const auditQuery = (query: api.AuditQuery) =>
  queryOptions({ queryKey: ['audit', query], queryFn: ({ signal }) => api.audit(query, signal) })

const GATHER_MS = 300

/** Reads again what events say has changed, once for all that come within a moment: 500 alerts are not 2,000 requests. */
export function refresher(client: QueryClient) {
  const stale = new Map<string, string[]>()
  let timer: ReturnType<typeof setTimeout> | undefined
  const read = () => {
    timer = undefined
    for (const queryKey of stale.values()) void client.invalidateQueries({ queryKey })
    stale.clear()
  }
  return {
    changed: (topic: Topic, id: string | null): void => {
      for (const queryKey of madeStale(topic, id)) stale.set(queryKey.join(' '), queryKey)
      timer ??= setTimeout(read, GATHER_MS)
    },
    stop: (): void => clearTimeout(timer),
  }
}

function madeStale(topic: Topic, id: string | null): string[][] {
  if (topic === 'state') return [['state']]
  const incident = topic === 'incident' && id !== null ? ['incident', id] : ['incident']
  return [['state'], ['incidents'], ['waiting'], incident]
}

/** `lost` is called when the session is over. Nothing waits for the network: an offline request fails and says so. */
export function createClient(lost: () => void): QueryClient {
  return new QueryClient({
    queryCache: new QueryCache({
      onSuccess: answered,
      onError: (error, query) => {
        if (!(error instanceof Problem)) return
        if (error.status === 0) unanswered()
        else answered()
        if (error.status === 401 && query.queryKey[0] !== 'auth') lost()
      },
    }),
    defaultOptions: {
      queries: {
        networkMode: 'always',
        staleTime: 2_000,
        retry: (count, error) => count < 2 && error instanceof Problem && error.status >= 500,
        refetchOnWindowFocus: true,
      },
      mutations: { networkMode: 'always', retry: false },
    },
  })
}
