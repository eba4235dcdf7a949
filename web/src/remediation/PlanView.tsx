/** What would be done to the object, how far it reaches, which rule allowed it, and how it would be taken back. */

import type { Decision, DiffStep, Json, Plan } from '../api/types'
import { Icon } from '../parts/Icon'
import { inverseName, pathName, plain, ruleName } from '../parts/words'
import { leaves } from './difference'
import css from './PlanView.module.css'

export function PlanView({ plan, decision, digest }: { plan: Plan; decision: Decision | null; digest: string | null }) {
  return (
    <section className={css.plan} aria-label="Plan">
      <div>
        <h3>What changes</h3>
        <Diff steps={leaves(plan.diff)} />
        {plan.warnings.map((warning) => (
          <p key={warning} className={css.warning}>
            <Icon sign="high" size={14} /> {warning}
          </p>
        ))}
      </div>
      <dl className={css.facts}>
        <dt>Reaches</dt>
        <dd>{reach(plan.blast_radius)}</dd>
        <dt>Undo</dt>
        <dd>{plan.inverse ? inverseName(plan.inverse) : 'Cannot be taken back'}</dd>
        {decision && (
          <>
            <dt>{decision.effect === 'allow' ? 'Allowed by' : 'Denied by'}</dt>
            <dd>
              <Rules decision={decision} />
            </dd>
          </>
        )}
        {digest && (
          <>
            <dt>Plan</dt>
            <dd>
              <code title={digest}>{digest.slice(0, 12)}</code>
            </dd>
          </>
        )}
      </dl>
    </section>
  )
}

function Diff({ steps }: { steps: DiffStep[] }) {
  if (steps.length === 0) return <p className={css.none}>Nothing in the object.</p>
  return (
    <div className={css.diff} tabIndex={0} role="group" aria-label="Difference">
      {steps.map((step) => (
        <div key={step.path} className={css.step}>
          <p className={css.path}>{pathName(step)}</p>
          {step.op !== 'add' && (
            <p className={css.minus}>
              <span aria-hidden="true">−</span>
              <span className="away">before:</span> {pretty(step.from)}
            </p>
          )}
          {step.op !== 'remove' && (
            <p className={css.plus}>
              <span aria-hidden="true">+</span>
              <span className="away">after:</span> {pretty(step.to)}
            </p>
          )}
        </div>
      ))}
    </div>
  )
}

const pretty = (value: Json | undefined) =>
  typeof value === 'object' && value !== null ? JSON.stringify(value, null, 2) : plain(value)

/** `{pods: 2, fraction: "2/3", service: "cart"}` → `2 of 3 pods of cart`. */
export function reach(radius: Plan['blast_radius']): string {
  const pods = radius['pods']
  if (typeof pods !== 'number') return 'Not known'
  const whole = typeof radius['fraction'] === 'string' ? radius['fraction'].split('/')[1] : undefined
  const service = typeof radius['service'] === 'string' ? ` of ${radius['service']}` : ''
  return `${pods}${whole ? ` of ${whole}` : ''} pod${pods === 1 && !whole ? '' : 's'}${service}`
}

function Rules({ decision }: { decision: Decision }) {
  if (decision.policies.length === 0) return <>{decision.sentence}</>
  return (
    <>
      {decision.policies.map((policy) => (
        <span key={policy.id + policy.rule} className={css.rule}>
          <code>{policy.id}</code>
          {policy.rule && <span title={policy.rule}>: {ruleName(policy.rule)}</span>}
        </span>
      ))}
    </>
  )
}
