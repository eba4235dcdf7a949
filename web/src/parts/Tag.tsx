/** Severity and states: always a sign and a word, so that colour is never the only carrier. */

import type { IncidentState, Outcome, Process, RemediationState, Severity } from '../api/types'
import { Icon, type Sign } from './Icon'
import css from './Tag.module.css'
import { capital, incidentState, remediationState } from './words'

export type Tone = 'calm' | 'good' | 'info' | 'warn' | 'high' | 'bad'

export function Tag({
  tone,
  sign,
  children,
  solid = false,
}: {
  tone: Tone
  sign: Sign
  children: string
  solid?: boolean
}) {
  return (
    <span className={css.tag} data-tone={tone} data-solid={solid || undefined}>
      <Icon sign={sign} size={14} />
      {children}
    </span>
  )
}

const SEVERITY: Record<Severity, [Tone, Sign]> = {
  low: ['calm', 'low'],
  medium: ['warn', 'medium'],
  high: ['high', 'high'],
  critical: ['bad', 'critical'],
}

export function SeverityTag({ severity }: { severity: Severity }) {
  const [tone, sign] = SEVERITY[severity]
  return (
    <Tag tone={tone} sign={sign}>
      {capital(severity)}
    </Tag>
  )
}

const INCIDENT: Record<IncidentState, [Tone, Sign]> = {
  open: ['warn', 'wait'],
  mitigating: ['info', 'run'],
  escalated: ['bad', 'person'],
  resolved: ['good', 'done'],
}

export function IncidentTag({ state }: { state: IncidentState }) {
  const [tone, sign] = INCIDENT[state]
  return (
    <Tag tone={tone} sign={sign}>
      {incidentState(state)}
    </Tag>
  )
}

const REMEDIATION: Record<RemediationState, [Tone, Sign]> = {
  proposed: ['calm', 'wait'],
  denied: ['calm', 'refused'],
  awaiting_approval: ['warn', 'hand'],
  rejected: ['calm', 'refused'],
  expired: ['calm', 'refused'],
  approved: ['info', 'check'],
  ready: ['info', 'check'],
  executing: ['info', 'run'],
  executed: ['info', 'check'],
  failed: ['bad', 'cross'],
  unknown: ['high', 'unknown'],
  verifying: ['info', 'eye'],
  helped: ['good', 'done'],
  no_effect: ['warn', 'same'],
  harmed: ['bad', 'cross'],
  inconclusive: ['warn', 'unknown'],
  undoing: ['warn', 'undo'],
  undone: ['calm', 'undo'],
  undo_failed: ['bad', 'cross'],
  closed: ['calm', 'check'],
}

export function RemediationTag({ state }: { state: RemediationState }) {
  const [tone, sign] = REMEDIATION[state]
  return (
    <Tag tone={tone} sign={sign}>
      {remediationState(state)}
    </Tag>
  )
}

export function OutcomeTag({ outcome }: { outcome: Outcome }) {
  const [tone, sign] = REMEDIATION[outcome]
  return (
    <Tag tone={tone} sign={sign} solid>
      {remediationState(outcome)}
    </Tag>
  )
}

const PROCESS: Record<Process['status'], [Tone, Sign]> = {
  ok: ['good', 'done'],
  degraded: ['warn', 'medium'],
  down: ['bad', 'critical'],
}

export function ProcessTag({ status }: { status: Process['status'] }) {
  const [tone, sign] = PROCESS[status]
  return (
    <Tag tone={tone} sign={sign}>
      {status}
    </Tag>
  )
}
