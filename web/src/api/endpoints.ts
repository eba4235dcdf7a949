/** Every call this page makes, one function each. Sorting, filtering and judging are the API's work. */

import { request } from './http'
import type {
  AuditPage,
  AuthState,
  Incident,
  IncidentSeries,
  IncidentSummary,
  Mode,
  Page,
  Remediation,
  Safety,
  SystemState,
  Waiting,
  Why,
} from './types'

type Signal = AbortSignal | undefined
const at = encodeURIComponent
const heed = (signal: Signal) => (signal ? { signal } : {})

export const authState = (signal?: Signal) => request<AuthState>('GET', '/auth/state', heed(signal))
export const bootstrap = (body: { token: string; email: string; password: string }) =>
  request<{ email: string; roles: string[] }>('POST', '/auth/bootstrap', { body })
export const login = (body: { email: string; password: string }) =>
  request<{ email: string; roles: string[] }>('POST', '/auth/login', { body })
export const logout = () => request<void>('POST', '/auth/logout')

export const systemState = (signal?: Signal) => request<SystemState>('GET', '/state', heed(signal))
export const stopActing = (reason: string) => request<Safety>('POST', '/safety/stop', { body: { reason } })
export const resumeActing = (reason: string) => request<Safety>('POST', '/safety/resume', { body: { reason } })
export const setMode = (mode: Mode, reason: string) =>
  request<Safety>('PUT', '/safety/mode', { body: { mode, reason } })

export interface IncidentQuery {
  state: 'open' | 'closed' | 'all'
  namespace?: string | undefined
  cursor?: string | undefined
  limit?: number
}
export const incidents = (query: IncidentQuery, signal?: Signal) =>
  request<Page<IncidentSummary>>('GET', '/incidents', { query: { ...query }, ...heed(signal) })
export const incident = (id: string, signal?: Signal) => request<Incident>('GET', `/incidents/${at(id)}`, heed(signal))
export const incidentSeries = (id: string, signal?: Signal) =>
  request<IncidentSeries>('GET', `/incidents/${at(id)}/series`, heed(signal))
export const why = (subject: string, signal?: Signal) =>
  request<Why>('GET', '/why', { query: { subject }, ...heed(signal) })

export const waiting = (signal?: Signal) => request<{ items: Waiting[] }>('GET', '/approvals', heed(signal))
export const approve = (id: string, planDigest: string) =>
  request<Remediation>('POST', `/remediations/${at(id)}/approve`, { body: { plan_digest: planDigest } })
export const reject = (id: string, planDigest: string, reason: string) =>
  request<Remediation>('POST', `/remediations/${at(id)}/reject`, { body: { plan_digest: planDigest, reason } })

export interface AuditQuery {
  before?: number | undefined
  q?: string | undefined
  limit?: number
}
export const audit = (query: AuditQuery, signal?: Signal) =>
  request<AuditPage>('GET', '/audit', { query: { ...query }, ...heed(signal) })
