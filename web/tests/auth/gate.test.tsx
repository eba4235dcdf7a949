import { screen } from '@testing-library/react'
import { describe, expect, it } from 'vitest'
import { Gate } from '../../src/auth/Gate'
import { show } from '../render'
import { user } from '../samples'

describe('the gate', () => {
  it('has the focus in its first field, so that one can begin to type', () => {
    const field = <input aria-label="E-mail" data-autofocus />
    const gate = (
      <Gate title="Log in" intro="">
        {field}
      </Gate>
    )
    show(gate, user())
    expect(document.activeElement).toBe(screen.getByLabelText('E-mail'))
  })
})
