/** The API's answers as this page reads them; the names are the API's own. Written by hand after /api/v1/openapi.json. */

export type Mode = 'observe' | 'approve' | 'auto'
export type Severity = 'low' | 'medium' | 'high' | 'critical'
export type IncidentState = 'open' | 'mitigating' | 'escalated' | 'resolved'
export type Permission =
  | 'state:read'
  | 'incidents:read'
  | 'remediations:read'
  | 'remediations:request'
  | 'approvals:write'
  | 'alerts:read'
  | 'alerts:write'
  | 'audit:read'
  | 'safety:stop'
  | 'safety:write'
  | 'users:write'
export type RemediationState =
  | 'proposed'
  | 'denied'
  | 'awaiting_approval'
  | 'rejected'
  | 'expired'
  | 'approved'
  | 'ready'
  | 'executing'
  | 'executed'
  | 'failed'
  | 'unknown'
  | 'verifying'
  | 'helped'
  | 'no_effect'
  | 'harmed'
  | 'inconclusive'
  | 'undoing'
  | 'undone'
  | 'undo_failed'
  | 'closed'
export type Outcome = 'helped' | 'no_effect' | 'harmed' | 'inconclusive'
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

export interface User {
  email: string
  roles: string[]
  permissions: Permission[]
}

export interface AuthState {
  first_admin_needed: boolean
  user: User | null
}

export interface Safety {
  mode: Mode
  stopped: boolean
  epoch: number
  changed_at: string
  changed_by: string
  reason: string
}

export interface Process {
  name: string
  instance: string
  status: 'ok' | 'degraded' | 'down'
  detail: string
  seen_at: string | null
}

export interface SystemState extends Safety {
  version: string
  now: string
  sandbox: boolean
  counts: {
    open_incidents: number
    awaiting_approval: number
    acted_24h: number
    helped_24h: number
    undone_24h: number
    refused_24h: number
  }
  processes: Process[]
}

export interface IncidentSummary {
  id: string
  entity: string
  namespace: string
  class: string
  probability: number
  severity: Severity
  state: IncidentState
  sentence: string
  opened_at: string
  first_abnormal_at: string
  last_abnormal_at: string
  closed_at: string | null
  remediation_state: RemediationState | null
}

export interface Evidence {
  signal: string
  unit: string
  value: number | null
  expected: number | null
  low: number | null
  high: number | null
  share: number | null
}

export interface Diagnosis {
  class: string
  probability: number
  abstained: boolean
  reasons: string[]
  alternatives: { class: string; probability: number }[]
  model_version?: string
}

export interface TimelineEvent {
  at: string
  stage: string
  title: string
  detail: string
  data: { [name: string]: Json }
  audit_position: number | null
}

export interface Alert {
  id: string
  name: string
  severity: string
  status: string
  labels: Record<string, string>
  annotations: Record<string, string>
  starts_at: string
  ends_at: string | null
  count: number
}

export interface DiffStep {
  op: string
  path: string
  from?: Json
  to?: Json
}

export interface Inverse {
  action: string
  kind: string
  namespace: string
  name: string
  params: { [name: string]: Json }
}

export interface Plan {
  diff: DiffStep[]
  inverse: Inverse | null
  reversible: boolean
  blast_radius: { [name: string]: Json }
  warnings: string[]
}

export interface Decision {
  effect: 'allow' | 'deny'
  code: string
  sentence: string
  policies: { id: string; effect: string; rule: string }[]
  nearest?: string | null
}

export interface Approval {
  by: string
  verdict: 'approve' | 'reject'
  reason: string
  at: string
}

export interface Measure {
  signal: string
  unit: string
  before: number | null
  after: number | null
  change_percent: number | null
  better: boolean | null
}

export interface Verdict {
  verdict: Outcome | null
  sentence: string
  measures: Measure[]
}

export interface Reason {
  code: string
  sentence: string
}

export interface HistoryStep {
  state: RemediationState
  at: string
  by: string
  reason: string
  audit_position: number | null
}

export interface Remediation {
  id: string
  incident_id: string | null
  undo_of: string | null
  state: RemediationState
  close: 'resolved' | 'escalated' | 'refused' | null
  action: string
  target: { kind: string; namespace: string; name: string }
  params: { [name: string]: Json }
  requested_by: string
  by_hand: boolean
  sentence: string
  expected_effect: { [name: string]: Json } | null
  confidence: number
  plan: Plan | null
  plan_digest: string | null
  decision: Decision | null
  approvals: { needed: number; got: Approval[] }
  approval_expires_at: string | null
  verdict: Verdict | null
  refusals: Reason[]
  effect_at: string | null
  proposed_at: string
  updated_at: string
  history: HistoryStep[]
}

export interface Incident extends IncidentSummary {
  confidence: number
  score: number
  evidence: Evidence[]
  diagnosis: Diagnosis | null
  recommendation: string
  timeline: TimelineEvent[]
  remediations: Remediation[]
  alerts: Alert[]
}

export type Waiting = Remediation & { incident: IncidentSummary | null }

export interface SignalSeries {
  unit: string
  values: (number | null)[]
  expected: (number | null)[] | null
  low: (number | null)[] | null
  high: (number | null)[] | null
}

export type MarkKind = 'first_abnormal' | 'detected' | 'effect' | 'verdict' | 'undone'

export interface Mark {
  at: number
  kind: MarkKind
  label: string
}

/** Columns: every signal has one value per time; times are Unix seconds. */
export interface IncidentSeries {
  times: number[]
  signals: Record<string, SignalSeries>
  marks: Mark[]
}

export interface Why {
  subject: string
  sentence: string
  chain: { at: string; stage: string; sentence: string }[]
  blockers: Reason[]
}

export interface AuditItem {
  position: number
  entry: { v: number; kind: string; at: string; actor: string; subject: string; data: { [name: string]: Json } }
  leaf: string
  recorded_at: string
}

export interface Page<Item> {
  items: Item[]
  next_cursor: string | null
}

export interface AuditPage {
  items: AuditItem[]
  next_before: number | null
}
