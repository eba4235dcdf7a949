import { fireEvent, screen, waitFor } from '@testing-library/react'
import { describe, expect, it } from 'vitest'
import { Banners } from '../src/shell/Banners'
import { KillSwitch } from '../src/shell/KillSwitch'
import { show } from './render'
import { state, user } from './samples'

describe('the kill switch', () => {
  it('stops with a reason', async () => {
    const { sent } = show(<KillSwitch state={state()} />, user('safety:stop'))
    fireEvent.click(screen.getByRole('button', { name: 'Stop Aegis' }))
    fireEvent.change(screen.getByLabelText(/Reason/), { target: { value: 'it restarts the wrong thing' } })
    fireEvent.click(screen.getByRole('button', { name: 'Stop now' }))
    await waitFor(() =>
      expect(sent.find(({ path }) => path === '/api/v1/safety/stop')?.body).toEqual({
        reason: 'it restarts the wrong thing',
      }),
    )
  })

  it('is also for those who may resume', () => {
    show(<KillSwitch state={state()} />, user('safety:write'))
    expect(screen.getByRole('button', { name: 'Stop Aegis' }).getAttribute('aria-disabled')).toBeNull()
  })

  it('is not beside its opposite: stopped, it is only a sign', () => {
    show(<KillSwitch state={state({ stopped: true })} />, user('safety:write'))
    expect(screen.queryByRole('button')).toBeNull()
  })
})

describe('the banners', () => {
  it('say who stopped Aegis and why, and let only some resume it', () => {
    show(<Banners state={state({ stopped: true, reason: 'sale day' })} />, user('safety:stop'))
    expect(screen.getByText(/sale day/)).toBeTruthy()
    expect(screen.getByRole('button', { name: 'Resume' }).getAttribute('aria-disabled')).toBe('true')
  })

  it('say that a newer version runs than the one this page came from', () => {
    const { again } = show(<Banners state={undefined} />, user())
    again(<Banners state={state({ version: '1' })} />)
    expect(screen.queryByText(/is running now/)).toBeNull()
    again(<Banners state={state({ version: '2' })} />)
    expect(screen.getByText(/Aegis 2 is running now; this page belongs to 1/)).toBeTruthy()
  })

  it('say what cannot happen while a process is down, even one that was never seen', () => {
    const down = { name: 'executor', instance: 'a', status: 'down' as const, detail: '', seen_at: null }
    show(<Banners state={state({ processes: [down] })} />, user())
    expect(screen.getByText(/nothing can be carried out/)).toBeTruthy()
    expect(screen.getByText(/never seen/)).toBeTruthy()
  })
})
