import { describe, expect, it } from 'vitest'
import { clock } from '../../src/parts/clock'
import { VerdictView } from '../../src/remediation/VerdictView'
import { show } from '../render'
import { user } from '../samples'

describe('the verdict', () => {
  it('says until when it comes while it is watched for', () => {
    const until = '2026-01-01T10:05:00Z'
    const pending = { verdict: null, sentence: 'watching error_ratio', measures: [] }
    const { container } = show(<VerdictView verdict={pending} until={until} />, user())
    expect(container.textContent).toContain(`Watching error ratio; the verdict comes by ${clock(until, 'local')}.`)
  })
})
