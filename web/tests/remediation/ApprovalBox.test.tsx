import { fireEvent, screen, waitFor } from '@testing-library/react'
import { describe, expect, it } from 'vitest'
import { useLive } from '../../src/api/live'
import type { Plan, Remediation } from '../../src/api/types'
import { ApprovalBox } from '../../src/remediation/ApprovalBox'
import { show, type Answer } from '../render'
import { plan, remediation, state, user } from '../samples'

const approver = user('approvals:write')
const box = (special: Partial<Remediation> = {}, shown: Plan = plan(), who = approver, answer?: Answer) =>
  show(<ApprovalBox item={remediation(special)} plan={shown} digest="aa11" />, who, answer)
const approve = () => screen.getByRole('button', { name: /^Approve:/ })
const reject = () => screen.getByRole('button', { name: /^Reject:/ })
const posted = (sent: { method: string; path: string; body: unknown }[]) =>
  sent.filter(({ method }) => method === 'POST')

describe('the approval box', () => {
  it('approves a plan that can be undone with one press, by the digest of what is shown', async () => {
    const { sent } = box()
    fireEvent.click(approve())
    await waitFor(() => expect(posted(sent)).toHaveLength(1))
    expect(posted(sent)[0]).toMatchObject({ path: '/api/v1/remediations/rem_1/approve', body: { plan_digest: 'aa11' } })
  })

  it('asks for the name before approving what cannot be undone', async () => {
    const { sent } = box({}, plan({ reversible: false, inverse: null }))
    fireEvent.click(approve())
    expect(posted(sent)).toHaveLength(0)
    const go = screen.getByRole('button', { name: 'Approve' })
    expect(go).toHaveProperty('disabled', true)
    fireEvent.change(screen.getByLabelText('Type cart to confirm'), { target: { value: 'cart' } })
    fireEvent.click(go)
    await waitFor(() => expect(posted(sent)).toHaveLength(1))
  })

  it('approves the plan that was shown when the dialog opened, not one that came behind it', async () => {
    const shown = plan({ reversible: false, inverse: null })
    const { sent, again } = box({}, shown)
    const newer = <ApprovalBox item={remediation()} plan={shown} digest="bb22" />
    fireEvent.click(approve())
    again(newer)
    fireEvent.change(screen.getByLabelText('Type cart to confirm'), { target: { value: 'cart' } })
    fireEvent.click(screen.getByRole('button', { name: 'Approve' }))
    await waitFor(() => expect(posted(sent)).toHaveLength(1))
    expect(posted(sent)[0]?.body).toEqual({ plan_digest: 'aa11' })
  })

  it('asks for a reason before rejecting', async () => {
    const { sent } = box()
    fireEvent.click(reject())
    const go = screen.getByRole('button', { name: 'Reject' })
    expect(go).toHaveProperty('disabled', true)
    fireEvent.change(screen.getByLabelText(/Reason/), { target: { value: 'not during the sale' } })
    fireEvent.click(go)
    await waitFor(() => expect(posted(sent)[0]?.body).toEqual({ plan_digest: 'aa11', reason: 'not during the sale' }))
  })

  it('says that the plan changed and approves nothing', async () => {
    box({}, plan(), approver, () => ({ status: 409, body: { code: 'plan_changed', detail: 'The plan changed.' } }))
    fireEvent.click(approve())
    expect(await screen.findByText(/Nothing was approved/)).toBeTruthy()
  })

  it('names the permission that is missing and sends nothing', () => {
    const { sent } = box({}, plan(), user('remediations:read'))
    expect(approve().getAttribute('aria-disabled')).toBe('true')
    expect(screen.getAllByText(/Needs the permission approvals:write/).length).toBeGreaterThan(0)
    fireEvent.click(approve())
    expect(posted(sent)).toHaveLength(0)
  })

  it('lets nobody approve their own request, but lets them withdraw it', () => {
    const { sent } = box({ requested_by: 'ada@example.org' })
    fireEvent.click(approve())
    expect(posted(sent)).toHaveLength(0)
    expect(screen.getByText(/somebody else must approve/)).toBeTruthy()
    expect(reject().getAttribute('aria-disabled')).toBeNull()
  })

  it('asks nobody once there are enough approvals', () => {
    const got = [{ by: 'grace@example.org', verdict: 'approve', reason: '', at: '2026-01-01T10:00:00Z' }]
    const { sent } = box({ approvals: { needed: 1, got } })
    fireEvent.click(approve())
    expect(posted(sent)).toHaveLength(0)
    expect(screen.getAllByText(/all the approvals it needs/).length).toBeGreaterThan(0)
  })

  it('sends nothing while Aegis cannot be reached', () => {
    const { sent } = box()
    useLive.setState({ link: 'offline' })
    fireEvent.click(approve())
    expect(posted(sent)).toHaveLength(0)
    useLive.setState({ link: 'connecting' })
  })

  it.each([
    ['it is stopped', state({ stopped: true }), /Aegis is stopped/],
    ['it only observes', state({ mode: 'observe' }), /The mode is observe/],
  ])('does not offer to approve while %s, and says why; rejecting is still possible', async (_, system, why) => {
    const { sent } = box({}, plan(), approver, ({ path }) => ({
      status: 200,
      body: path.endsWith('/state') ? system : {},
    }))
    expect((await screen.findAllByText(why)).length).toBeGreaterThan(0)
    expect(approve().getAttribute('aria-disabled')).toBe('true')
    fireEvent.click(approve())
    expect(posted(sent)).toHaveLength(0)
    expect(reject().getAttribute('aria-disabled')).toBeNull()
  })

  it('shows why the API refused, with the request id', async () => {
    box({}, plan(), approver, () => ({
      status: 403,
      body: { code: 'self_approval', detail: 'nobody approves their own request.', request_id: 'req_9' },
    }))
    fireEvent.click(approve())
    expect(await screen.findByText(/Nobody approves their own request/)).toBeTruthy()
    expect(screen.getByText('req_9')).toBeTruthy()
  })
})
