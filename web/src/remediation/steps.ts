/** A remediation's state as its place on the way: decide, approve, act, verify, end. */

import type { Remediation, RemediationState } from '../api/types'

export const STEPS = ['Decide', 'Approve', 'Act', 'Verify', 'End'] as const
export type StepName = (typeof STEPS)[number]
export type Standing = 'done' | 'now' | 'failed' | 'ahead'
export interface Step {
  name: StepName
  standing: Standing
}

const PLACE: Record<RemediationState, StepName> = {
  proposed: 'Decide',
  denied: 'Decide',
  awaiting_approval: 'Approve',
  rejected: 'Approve',
  expired: 'Approve',
  approved: 'Act',
  ready: 'Act',
  executing: 'Act',
  executed: 'Act',
  failed: 'Act',
  unknown: 'Act',
  verifying: 'Verify',
  helped: 'Verify',
  no_effect: 'Verify',
  harmed: 'Verify',
  inconclusive: 'Verify',
  undoing: 'Verify',
  undone: 'Verify',
  undo_failed: 'Verify',
  closed: 'End',
}

const ENDED_BADLY = new Set<RemediationState>([
  'denied',
  'rejected',
  'expired',
  'failed',
  'no_effect',
  'harmed',
  'inconclusive',
  'undo_failed',
])

/** The steps taken, being taken and to come, in order; one that was passed over is left out. */
export function standings(item: Pick<Remediation, 'state' | 'history'>): Step[] {
  const visited = item.history.map((one) => one.state)
  const reached = STEPS.indexOf(PLACE[item.state])
  // A step went wrong where a bad state was entered in it; what came after it never happened.
  const bad = new Set(visited.filter((state) => ENDED_BADLY.has(state)).map((state) => PLACE[state]))
  if (ENDED_BADLY.has(item.state)) bad.add(PLACE[item.state])
  const standing = (name: StepName, place: number): Standing | null => {
    if (bad.has(name)) return 'failed'
    if (place === reached) return item.state === 'closed' ? 'done' : 'now'
    if (place > reached) return 'ahead'
    return name === 'Decide' || visited.some((state) => PLACE[state] === name) ? 'done' : null
  }
  return STEPS.flatMap((name, place) => {
    const found = standing(name, place)
    return found === null ? [] : [{ name, standing: found }]
  })
}

/** The last state before `closed`: that is the one people want to read. */
export function telling(item: Pick<Remediation, 'state' | 'history'>): RemediationState {
  if (item.state !== 'closed') return item.state
  return item.history.filter((one) => one.state !== 'closed').at(-1)?.state ?? 'closed'
}
