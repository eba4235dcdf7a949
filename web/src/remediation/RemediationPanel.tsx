/** One remediation from proposal to verdict: what would change, who allowed it, who must agree, what came of it. */

import type { Plan, Remediation } from '../api/types'
import { CopyCommand } from '../parts/CopyCommand'
import { percent } from '../parts/numbers'
import { RemediationTag, Tag } from '../parts/Tag'
import { Ago } from '../parts/Time'
import { actionName, capital, plain, signalName, spoken } from '../parts/words'
import { ApprovalBox } from './ApprovalBox'
import { PlanView } from './PlanView'
import css from './RemediationPanel.module.css'
import { Steps } from './Steps'
import { telling } from './steps'
import { VerdictView } from './VerdictView'

export function RemediationPanel({ item }: { item: Remediation }) {
  const { target } = item
  const params = Object.entries(item.params).map(([name, value]) => `${name} ${plain(value)}`)
  const waits = item.state === 'awaiting_approval'
  return (
    <article
      id={item.id}
      className={`panel ${css.panel}`}
      data-waits={waits || undefined}
      aria-labelledby={`${item.id}-name`}
    >
      <header>
        <h2 id={`${item.id}-name`}>
          {item.undo_of && 'Undo: '}
          {actionName(item.action)}{' '}
          <span className={css.target}>{[`${target.namespace} / ${target.name}`, ...params].join(', ')}</span>
        </h2>
        <RemediationTag state={telling(item)} />
        <Steps item={item} />
      </header>
      <div className={css.body}>
        <div className={css.intro}>
          <p>{spoken(item.sentence)}</p>
          <p className={css.meta}>
            Asked for by {item.requested_by} <Ago at={item.proposed_at} />
            {!item.by_hand && `, confidence ${percent(item.confidence)}`}
            <Expected item={item} />
          </p>
        </div>
        {item.verdict?.verdict && <VerdictView verdict={item.verdict} until={null} />}
        {item.refusals.length > 0 && <Refusals item={item} />}
        {item.plan && <Planned item={item} plan={item.plan} />}
        {item.verdict && !item.verdict.verdict && <VerdictView verdict={item.verdict} until={item.verify_until} />}
        {waits && item.plan && item.plan_digest && (
          <ApprovalBox item={item} plan={item.plan} digest={item.plan_digest} />
        )}
        {!waits && item.approvals.got.length > 0 && <Said item={item} />}
        <p className={css.copy}>
          <CopyCommand command={waits ? `aegis approve ${item.id}` : `aegis why ${item.id}`} />
        </p>
      </div>
    </article>
  )
}

/** What is over is folded: the plan matters most while something can still be said about it. */
function Planned({ item, plan }: { item: Remediation; plan: Plan }) {
  const view = <PlanView plan={plan} decision={item.decision} digest={item.plan_digest} />
  if (item.state !== 'closed') return view
  return (
    <details className={css.over}>
      <summary>The plan</summary>
      {view}
    </details>
  )
}

function Expected({ item }: { item: Remediation }) {
  const effect = item.expected_effect
  if (!effect || typeof effect['signal'] !== 'string') return null
  const by = typeof effect['by_percent'] === 'number' ? ` by ${effect['by_percent']}%` : ''
  return <>{`; expected: ${signalName(effect['signal'])} ${plain(effect['direction'])}${by}`}</>
}

function Refusals({ item }: { item: Remediation }) {
  return (
    <section className={css.refusals} aria-label="Why nothing was done">
      <h3>Why it was not done</h3>
      <ul>
        {item.refusals.map((one) => (
          <li key={one.code + one.sentence}>
            {capital(spoken(one.sentence))} <code>{one.code}</code>
          </li>
        ))}
      </ul>
    </section>
  )
}

function Said({ item }: { item: Remediation }) {
  return (
    <ul className={css.said} aria-label="What people said">
      {item.approvals.got.map((one) => (
        <li key={one.by}>
          <Tag
            tone={one.verdict === 'approve' ? 'good' : 'calm'}
            sign={one.verdict === 'approve' ? 'check' : 'refused'}
          >
            {one.verdict === 'approve' ? 'Approved' : 'Rejected'}
          </Tag>{' '}
          by {one.by} <Ago at={one.at} />
          {one.reason && `: ${one.reason}`}
        </li>
      ))}
    </ul>
  )
}
