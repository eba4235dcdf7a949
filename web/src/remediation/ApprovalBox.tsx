/**
 * Approve or reject exactly the plan that is shown above. Approving sends that plan's digest, so a plan that changed
 * meanwhile is never approved by accident: the page then shows the new one and asks for another look.
 */

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import * as api from '../api/endpoints'
import { asProblem } from '../api/problem'
import { stateQuery } from '../api/queries'
import type { Plan, Remediation, SystemState } from '../api/types'
import { useUser } from '../auth/session'
import { Guarded } from '../parts/Guarded'
import { Icon } from '../parts/Icon'
import { ReasonDialog } from '../parts/ReasonDialog'
import { Refused } from '../parts/States'
import { Tag } from '../parts/Tag'
import { actionName } from '../parts/words'
import css from './ApprovalBox.module.css'
import { Expiry } from './Expiry'

/** A question that is open, and the plan that was shown when it was asked: another may have come behind the dialog. */
interface Asking {
  what: 'confirm' | 'reject'
  seen: string
}

/** Answers after which what is shown here is no longer true. */
const OUTDATED = new Set(['plan_changed', 'already_decided', 'approval_expired'])

/** Why approving would come to nothing now: the API keeps no approval for later, and does not take one either. */
function holding(system: SystemState | undefined): string | null {
  if (system?.stopped) return 'Aegis is stopped: an approval would come to nothing. Resume it first, then approve.'
  if (system?.mode === 'observe') return 'The mode is observe: Aegis does not act. Change the mode first, then approve.'
  return null
}

export function ApprovalBox({ item, plan, digest }: { item: Remediation; plan: Plan; digest: string }) {
  const [asking, setAsking] = useState<Asking | null>(null)
  const [changed, setChanged] = useState(false)
  const client = useQueryClient()
  const user = useUser()
  const { data: system } = useQuery(stateQuery())
  const close = () => setAsking(null)
  const outcome = {
    onSuccess: close,
    onError: (error: unknown) => {
      const { code } = asProblem(error)
      if (code === 'plan_changed') setChanged(true)
      if (OUTDATED.has(code)) close()
    },
    onSettled: () => {
      for (const key of ['incident', 'waiting', 'incidents', 'state'])
        void client.invalidateQueries({ queryKey: [key] })
    },
  }
  const approving = useMutation({ mutationFn: (seen: string) => api.approve(item.id, seen), ...outcome })
  const rejecting = useMutation({
    mutationFn: ({ seen, reason }: { seen: string; reason: string }) => api.reject(item.id, seen, reason),
    ...outcome,
  })
  const begin = (what: Asking['what'] | null) => {
    approving.reset()
    rejecting.reset()
    setChanged(false)
    setAsking(what && { what, seen: digest })
    if (what === null) approving.mutate(digest)
  }

  const got = item.approvals.got.filter((one) => one.verdict === 'approve')
  const own = item.requested_by === user?.email ? 'You asked for this yourself; somebody else must approve it.' : null
  const already = item.approvals.got.some((one) => one.by === user?.email) ? 'You have already answered.' : null
  const settled =
    got.length >= item.approvals.needed ? 'It has all the approvals it needs; Aegis goes on in a moment.' : null
  const held = holding(system)
  const failed = asking === null ? (approving.error ?? rejecting.error) : null
  return (
    <section className={css.box} aria-label="Approval">
      <p className={css.standing}>
        <Tag tone="warn" sign="hand">
          {`${got.length} of ${item.approvals.needed} approvals`}
        </Tag>
        {got.length > 0 && <span>by {got.map((one) => one.by).join(', ')}</span>}
        {item.approval_expires_at && <Expiry at={item.approval_expires_at} />}
      </p>
      {changed && (
        <p className={css.changed} role="alert">
          <Icon sign="high" size={15} />
          <span>
            <strong>The plan has changed.</strong> Nothing was approved. What is shown now is the new plan: look at it
            again.
          </span>
        </p>
      )}
      {!changed && <Refused error={failed} />}
      {held && !settled && (
        <p className={css.changed}>
          <Icon sign="stop" size={15} />
          <span>{held}</span>
        </p>
      )}
      <div className={css.ends}>
        <Guarded
          permission="approvals:write"
          blocked={own ?? already ?? settled ?? held}
          size="sm"
          loading={approving.isPending}
          leftSection={<Icon sign="check" size={15} />}
          name={`Approve: ${actionName(item.action)} ${item.target.name}`}
          onClick={() => begin(plan.reversible ? null : 'confirm')}
        >
          Approve
        </Guarded>
        <Guarded
          permission="approvals:write"
          blocked={already ?? settled}
          size="sm"
          variant="subtle"
          color="brick"
          name={`Reject: ${actionName(item.action)} ${item.target.name}`}
          onClick={() => begin('reject')}
        >
          Reject…
        </Guarded>
      </div>
      {asking?.what === 'confirm' && (
        <ReasonDialog
          title="Approve what cannot be taken back?"
          verb="Approve"
          typed={item.target.name}
          reasoned={false}
          busy={approving.isPending}
          error={approving.error}
          onClose={close}
          onDo={() => approving.mutate(asking.seen)}
        >
          {actionName(item.action)} {item.target.namespace} / {item.target.name} has no inverse. If it does not help,
          Aegis cannot undo it and calls a person.
        </ReasonDialog>
      )}
      {asking?.what === 'reject' && (
        <ReasonDialog
          title="Reject this plan?"
          verb="Reject"
          color="brick"
          busy={rejecting.isPending}
          error={rejecting.error}
          onClose={close}
          onDo={(reason) => rejecting.mutate({ seen: asking.seen, reason })}
        >
          Nothing is done, and Aegis does not propose it again for this incident.
        </ReasonDialog>
      )}
    </section>
  )
}
