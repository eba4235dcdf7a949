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

/** Read again what an event says has changed. */
export function refresh(client: QueryClient, topic: Topic, id: string | null): void {
  const stale = (...queryKey: string[]) => void client.invalidateQueries({ queryKey })
  stale('state')
  if (topic === 'state') return
  stale('incidents')
  stale('waiting')
  if (topic === 'incident' && id !== null) stale('incident', id)
  else stale('incident')
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
