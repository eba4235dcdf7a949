/** Every call this page makes, one function each. Sorting, filtering and judging are the API's work. */

import { V1, answer, http } from './http'
import type {
  AuditPage,
  AuthState,
  Incident,
  IncidentPage,
  IncidentSeries,
  Mode,
  Remediation,
  Safety,
  SystemState,
  Waiting,
  Why,
} from './types'

type Signal = AbortSignal | undefined
const heed = (signal: Signal) => (signal ? { signal } : {})

export const authState = (signal?: Signal) => answer<AuthState>(http.GET(`${V1}/auth/state`, heed(signal)))
export const bootstrap = (body: { token: string; email: string; password: string }) =>
  answer<void>(http.POST(`${V1}/auth/bootstrap`, { body }))
export const login = (body: { email: string; password: string }) =>
  answer<void>(http.POST(`${V1}/auth/login`, { body }))
export const logout = () => answer<void>(http.POST(`${V1}/auth/logout`))

export const systemState = (signal?: Signal) => answer<SystemState>(http.GET(`${V1}/state`, heed(signal)))
export const stopActing = (reason: string) => answer<Safety>(http.POST(`${V1}/safety/stop`, { body: { reason } }))
export const resumeActing = (reason: string) => answer<Safety>(http.POST(`${V1}/safety/resume`, { body: { reason } }))
export const setMode = (mode: Mode, reason: string) =>
  answer<Safety>(http.PUT(`${V1}/safety/mode`, { body: { mode, reason } }))

export interface IncidentQuery {
  state: 'open' | 'closed' | 'all'
  cursor?: string | undefined
  limit: number
}
export const incidents = (query: IncidentQuery, signal?: Signal) =>
  answer<IncidentPage>(http.GET(`${V1}/incidents`, { params: { query: given(query) }, ...heed(signal) }))
export const incident = (id: string, signal?: Signal) =>
  answer<Incident>(http.GET(`${V1}/incidents/{incident_id}`, { ...path({ incident_id: id }), ...heed(signal) }))
export const incidentSeries = (id: string, signal?: Signal) =>
  answer<IncidentSeries>(
    http.GET(`${V1}/incidents/{incident_id}/series`, { ...path({ incident_id: id }), ...heed(signal) }),
  )
export const why = (subject: string, signal?: Signal) =>
  answer<Why>(http.GET(`${V1}/why`, { params: { query: { subject } }, ...heed(signal) }))

export const waiting = (signal?: Signal) => answer<{ items: Waiting[] }>(http.GET(`${V1}/approvals`, heed(signal)))
export const approve = (id: string, planDigest: string) =>
  answer<Remediation>(
    http.POST(`${V1}/remediations/{remediation_id}/approve`, {
      ...path({ remediation_id: id }),
      body: { plan_digest: planDigest },
    }),
  )
export const reject = (id: string, planDigest: string, reason: string) =>
  answer<Remediation>(
    http.POST(`${V1}/remediations/{remediation_id}/reject`, {
      ...path({ remediation_id: id }),
      body: { plan_digest: planDigest, reason },
    }),
  )

export interface AuditQuery {
  before?: number | undefined
  q?: string | undefined
  limit: number
}
export const audit = (query: AuditQuery, signal?: Signal) =>
  answer<AuditPage>(http.GET(`${V1}/audit`, { params: { query: given(query) }, ...heed(signal) }))

const path = <Names>(names: Names) => ({ params: { path: names } })

/** Only the filters that are set. */
function given<Query extends object>(query: Query) {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined)) as {
    [Name in keyof Query]: Exclude<Query[Name], undefined>
  }
}
