/** Plans that wait for a person. A plan is approved on its incident's page, where all of it can be seen. */

import { useQuery } from '@tanstack/react-query'
import { waitingQuery } from '../api/queries'
import type { Waiting } from '../api/types'
import { Expiry } from '../remediation/Expiry'
import { LinkButton } from '../parts/LinkButton'
import { SeverityTag } from '../parts/Tag'
import { Empty, Failure, Loading } from '../parts/States'
import { actionName, spoken } from '../parts/words'
import { reach } from '../remediation/PlanView'
import css from './WaitingList.module.css'

export function WaitingList() {
  const waiting = useQuery(waitingQuery())
  return (
    <section className="panel" aria-labelledby="waiting">
      <header>
        <h2 id="waiting">Waiting for approval</h2>
        {waiting.data && waiting.data.items.length > 0 && (
          <span className={css.count}>{waiting.data.items.length}</span>
        )}
      </header>
      {waiting.data ? (
        <Plans plans={waiting.data.items} />
      ) : waiting.error ? (
        <Failure error={waiting.error} what="What waits for approval" retry={() => void waiting.refetch()} />
      ) : (
        <Loading label="what waits for approval" rows={2} />
      )}
    </section>
  )
}

function Plans({ plans }: { plans: Waiting[] }) {
  if (plans.length === 0) {
    return <Empty title="Nothing waits for you">A plan appears here as soon as policy asks for a person.</Empty>
  }
  return (
    <ul className={css.plans}>
      {plans.map((plan) => (
        <Plan key={plan.id} plan={plan} />
      ))}
    </ul>
  )
}

function Plan({ plan }: { plan: Waiting }) {
  const { target } = plan
  return (
    <li className={css.plan}>
      {plan.incident && <SeverityTag severity={plan.incident.severity} />}
      <div className={css.what}>
        <p className={css.action}>
          {actionName(plan.action)} <span className={css.target}>{`${target.namespace} / ${target.name}`}</span>
        </p>
        <p className={css.sentence}>{spoken(plan.incident?.sentence ?? plan.sentence)}</p>
      </div>
      <span className={css.facts}>
        {plan.plan &&
          `${reach(plan.plan.blast_radius)}, ${plan.plan.reversible ? 'can be undone' : 'cannot be undone'} · `}
        {plan.approvals.got.filter((one) => one.verdict === 'approve').length} of {plan.approvals.needed} approvals
        {plan.approval_expires_at && (
          <>
            , <Expiry at={plan.approval_expires_at} />
          </>
        )}
      </span>
      {plan.incident_id ? (
        <LinkButton
          to="/incidents/$id"
          params={{ id: plan.incident_id }}
          hash={plan.id}
          variant="light"
          aria-label={`Review: ${actionName(plan.action)} ${target.name}`}
        >
          Review
        </LinkButton>
      ) : (
        <code>aegis approve {plan.id}</code>
      )}
    </li>
  )
}
