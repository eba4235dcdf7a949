/** The codes of the API in the words of people. An unknown code is shown as it is, with its underscores opened. */

import type { DiffStep, IncidentState, Inverse, Json, Mode, Permission, RemediationState } from '../api/types'

const SIGNALS: Record<string, string> = {
  request_rate: 'request rate',
  error_ratio: 'error ratio',
  latency_p95: '95th percentile latency',
  upstream_timeout_ratio: 'timeouts to dependencies',
  upstream_failures: 'failing calls to dependencies',
  upstream_wait: 'time waiting for dependencies',
  latency_mean: 'mean latency',
  cpu_cores: 'CPU use',
  cpu_limit_ratio: 'CPU use of its limit',
  cpu_throttle_ratio: 'CPU throttling',
  memory_bytes: 'memory',
  memory_limit_ratio: 'memory use of its limit',
  restarts: 'restarts in five minutes',
  replicas_unavailable: 'unavailable replicas',
  replicas_available: 'available replicas',
  replicas_wanted: 'wanted replicas',
  waiting_crash_loop: 'pods in a crash loop',
  waiting_image_pull: 'pods that cannot pull their image',
  oom_killed: 'pods killed out of memory',
  pods_on_not_ready_nodes: 'pods on nodes that are not ready',
  rollout_age: 'age of the rollout',
}

const CLASSES: Record<string, string> = {
  oom_killed: 'out-of-memory kills',
  cpu_saturation: 'CPU saturation',
  connection_timeout: 'dependency times out',
  image_pull_error: 'image cannot be pulled',
  node_not_ready: 'node is not ready',
  unknown: 'not known',
}

/** Failure classes that the API's sentences name by their code. */
const FAILURES = [
  'bad_rollout',
  'connection_timeout',
  'cpu_saturation',
  'crash_loop',
  'disk_pressure',
  'error_burst',
  'high_latency',
  'image_pull_error',
  'memory_leak',
  'node_not_ready',
  'service_down',
]

const REMEDIATION: Record<RemediationState, string> = {
  proposed: 'proposed',
  denied: 'refused',
  awaiting_approval: 'needs approval',
  rejected: 'rejected',
  expired: 'approval expired',
  approved: 'approved',
  ready: 'ready to act',
  executing: 'acting',
  executed: 'done',
  failed: 'failed',
  unknown: 'outcome unknown',
  verifying: 'verifying',
  helped: 'helped',
  no_effect: 'no effect',
  harmed: 'did harm',
  inconclusive: 'inconclusive',
  undoing: 'undoing',
  undone: 'undone',
  undo_failed: 'undo failed',
  closed: 'closed',
}

export const MODES: Record<Mode, { name: string; meaning: string }> = {
  observe: { name: 'Observe', meaning: 'Watches and records. Never acts.' },
  approve: { name: 'Approve', meaning: 'Acts only after a person has approved.' },
  auto: { name: 'Auto', meaning: 'Acts where policy allows; asks a person where policy says so.' },
}

/** What each permission lets a person do, for the sentence on a button that is disabled. */
export const PERMISSIONS: Partial<Record<Permission, string>> = {
  'approvals:write': 'approve or reject plans',
  'safety:stop': 'stop Aegis',
  'safety:write': 'resume Aegis or change its mode',
  'audit:read': 'read the audit log',
}

const opened = (code: string) => code.replaceAll('_', ' ')

export const signalName = (signal: string) => SIGNALS[signal] ?? opened(signal)
export const className = (failure: string) => CLASSES[failure] ?? opened(failure)
export const actionName = (action: string) => capital(opened(action))
export const incidentState = (state: IncidentState) => capital(state)
export const remediationState = (state: RemediationState) => capital(REMEDIATION[state] ?? opened(state))

const ACTIONS = ['restart_pod', 'restart_deployment', 'scale_deployment', 'rollback_deployment']
// `restarts` and `memory` are words already: in a sentence that is finished they say what they mean.
const CODES = [...Object.keys(SIGNALS).filter((name) => name.includes('_')), ...ACTIONS, ...FAILURES].toSorted(
  (one, other) => other.length - one.length,
)
const KNOWN = new RegExp(`\\b(?:${CODES.join('|')}|(?:deployment|pod)/[a-z0-9-]+/[a-z0-9-]+)\\b`, 'g')

/** A sentence of the API with its codes in words: `memory_limit_ratio came back` → `memory use of its limit came back`. */
export function spoken(sentence: string): string {
  return sentence.replaceAll(KNOWN, (code) =>
    code.includes('/')
      ? entityName(code)
      : (SIGNALS[code] ?? (FAILURES.includes(code) ? className(code) : opened(code))),
  )
}

/** What of a rule applied, without the language that rules are written in: `context.confidence is at least 0.6`. */
export function ruleName(rule: string): string {
  return opened(
    rule
      .replaceAll(/\bmetadata\.undo is false\b/g, 'it is not an undo')
      .replaceAll(/\bmetadata\.undo is true\b/g, 'it is an undo')
      .replaceAll(/\b(?:context|metadata|resource|subject|action)\.(?=[a-z])/g, ''),
  )
}

/** The first letter large, except of what is a name: an address, a path, a code. */
export function capital(text: string): string {
  if (/^[^ ]*[@/_]/.test(text)) return text
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** `deployment/shop/cart` → `shop / cart`, the kind left out where it goes without saying. */
export function entityName(entity: string): string {
  const [kind, namespace, name] = entity.split('/')
  if (!namespace || !name) return entity
  return kind === 'deployment' ? `${namespace} / ${name}` : `${kind} ${namespace} / ${name}`
}

/** A JSON value on one line; text without its quotes. */
export function plain(value: Json | undefined): string {
  if (value === null || value === undefined) return 'nothing'
  if (typeof value === 'string') return value
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** `/spec/template/metadata/annotations/a~1b` → `spec.template.metadata.annotations.a/b`. */
export function pathName(step: DiffStep): string {
  const parts = step.path.split('/').filter(Boolean)
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')).join('.') || 'the whole object'
}

export function inverseName(inverse: Inverse): string {
  const target = inverse.namespace && inverse.name ? `${inverse.namespace} / ${inverse.name}` : ''
  const given = Object.entries(inverse.params).map(([name, value]) => `${opened(name)} ${plain(value)}`)
  return [target ? `${actionName(inverse.action)} ${target}` : actionName(inverse.action), ...given].join(', ')
}
