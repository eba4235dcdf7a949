/** Answers of the API as the tests need them; each function takes what is special about this one. */

import type { Permission, Plan, Remediation, SystemState, User } from '../src/api/types'

export const plan = (special: Partial<Plan> = {}): Plan => ({
  diff: [{ op: 'replace', path: '/spec/replicas', from: 3, to: 4 }],
  inverse: { action: 'scale_deployment', namespace: 'shop', name: 'cart', params: { replicas: 3 } },
  reversible: true,
  blast_radius: { pods: 3, fraction: '3/3', service: 'cart' },
  warnings: [],
  ...special,
})

export const remediation = (special: Partial<Remediation> = {}): Remediation => ({
  id: 'rem_1',
  incident_id: 'inc_1',
  undo_of: null,
  state: 'awaiting_approval',
  close: null,
  action: 'scale_deployment',
  target: { kind: 'Deployment', namespace: 'shop', name: 'cart' },
  params: { replicas: 4 },
  requested_by: 'aegis',
  by_hand: false,
  sentence: 'Scale cart from 3 to 4 replicas.',
  expected_effect: null,
  confidence: 0.84,
  plan: plan(),
  plan_digest: 'aa11',
  decision: null,
  approvals: { needed: 1, got: [] },
  approval_expires_at: null,
  verdict: null,
  refusals: [],
  result: null,
  effect_at: null,
  verify_until: null,
  proposed_at: '2026-01-01T10:00:00Z',
  updated_at: '2026-01-01T10:00:00Z',
  history: [],
  ...special,
})

export const history = (...states: Remediation['state'][]): Remediation['history'] =>
  states.map((state, place) => ({
    state,
    at: `2026-01-01T10:00:0${place}Z`,
    by: 'aegis',
    reason: '',
    audit_position: place,
  }))

export const user = (...permissions: Permission[]): User => ({
  email: 'ada@example.org',
  roles: ['viewer'],
  permissions,
})

export const state = (special: Partial<SystemState> = {}): SystemState => ({
  version: '1',
  now: new Date().toISOString(),
  mode: 'approve',
  stopped: false,
  epoch: 7,
  changed_at: '2026-01-01T10:00:00Z',
  changed_by: 'ada@example.org',
  reason: 'first start',
  sandbox: false,
  counts: {
    open_incidents: 0,
    awaiting_approval: 0,
    acted_24h: 0,
    helped_24h: 0,
    undone_24h: 0,
    refused_24h: 0,
  },
  processes: [],
  ...special,
})
