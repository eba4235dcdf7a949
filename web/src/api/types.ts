/**
 * The API's answers as this page reads them: the types generated from its OpenAPI, with names, and with the documents
 * that the API passes through (plan, decision, evidence, samples) spelled out. A field that the API renames is an error here.
 */

import type { components } from './schema'

type Answers = components['schemas']
/** `Base` with some of its fields said more exactly; naming a field it does not have is an error. */
type Exactly<Base, Said extends Partial<Record<keyof Base, unknown>>> = Omit<Base, keyof Said> & Said

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }
type Document = { [name: string]: Json }

export type Mode = Answers['SafetyChange']['mode']
export type IncidentState = Answers['IncidentSummary']['state']
export type RemediationState = Answers['State']
export type MarkKind = Answers['Mark']['kind']
export type Severity = 'low' | 'medium' | 'high' | 'critical'
export type Outcome = 'helped' | 'no_effect' | 'harmed' | 'inconclusive'
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

// --- people and the system ---------------------------------------------------------------------------------------

export type User = Exactly<Answers['Myself'], { permissions: Permission[] }>
export type AuthState = Exactly<Answers['AuthState'], { user: User | null }>
export type Safety = Answers['SafetyChange']
export type Process = Answers['ProcessAnswer']
export type SystemState = Answers['StateAnswer']

// --- incidents ---------------------------------------------------------------------------------------------------

type Known = { severity: Severity; remediation_state: RemediationState | null }
export type IncidentSummary = Exactly<Answers['IncidentSummary'], Known>
export type IncidentPage = Exactly<Answers['IncidentPage'], { items: IncidentSummary[] }>
export type TimelineEvent = Exactly<Answers['EventDocument'], { data: Document }>
export type Alert = Answers['AlertDocument']
export type Why = Answers['WhyAnswer']
export type Mark = Answers['Mark']

export interface Evidence {
  signal: string
  unit: string
  value: number | null
  expected?: number | null
  low?: number | null
  high?: number | null
  share?: number | null
}

export interface Diagnosis {
  class: string
  probability: number
  abstained: boolean
  reasons: string[]
  alternatives: { class: string; probability: number }[]
}

export type Incident = Exactly<
  Answers['IncidentDocument'],
  Known & {
    evidence: Evidence[]
    diagnosis: Diagnosis | null
    timeline: TimelineEvent[]
    remediations: Remediation[]
  }
>

export interface SignalSeries {
  unit: string
  values: (number | null)[]
  expected: (number | null)[] | null
  low: (number | null)[] | null
  high: (number | null)[] | null
}

/** Columns: every signal has one value per time; times are Unix seconds. */
export type IncidentSeries = Exactly<Answers['SeriesDocument'], { signals: Record<string, SignalSeries> }>

// --- remediations ------------------------------------------------------------------------------------------------

export interface DiffStep {
  op: string
  path: string
  from?: Json
  to?: Json
}

/** The action that restores what was; its target is the plan's own where it is not named. */
export interface Inverse {
  action: string
  namespace?: string
  name?: string
  params: Document
}

export interface Plan {
  diff: DiffStep[]
  inverse: Inverse | null
  reversible: boolean
  blast_radius: Document
  warnings: string[]
}

export interface Decision {
  effect: 'allow' | 'deny'
  sentence: string
  policies: { id: string; effect: string; rule: string }[]
}

export interface Measure {
  signal: string
  unit: string
  before: number | null
  after: number | null
  change_percent: number | null
  better: boolean | null
}

export type Verdict = Exactly<Answers['VerdictDocument'], { verdict: Outcome | null; measures: Measure[] }>

type Spelled = {
  params: Document
  expected_effect: Document | null
  plan: Plan | null
  decision: Decision | null
  verdict: Verdict | null
}
export type Remediation = Exactly<Answers['RemediationDocument'], Spelled>
export type Waiting = Exactly<Answers['Waiting'], Spelled & { incident: IncidentSummary | null }>

// --- the record --------------------------------------------------------------------------------------------------

/** `entry` is `subject:verb`, when, by whom, about what, with data. */
export type AuditItem = Exactly<
  Answers['EntryAnswer'],
  { entry: { v: number; kind: string; at: string; actor: string; subject: string; data: Document } }
>
export type AuditPage = Exactly<Answers['EntryPage'], { items: AuditItem[] }>
