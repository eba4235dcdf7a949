/** What everybody must know before reading on: stopped, a process down, no connection, a newer version. */

import { Button } from '@mantine/core'
import { useState, type ReactNode } from 'react'
import * as api from '../api/endpoints'
import { useLive } from '../api/live'
import type { SystemState } from '../api/types'
import { ago } from '../parts/numbers'
import { useHere } from '../parts/clock'
import { Guarded } from '../parts/Guarded'
import { Icon, type Sign } from '../parts/Icon'
import { ReasonDialog } from '../parts/ReasonDialog'
import { Ago } from '../parts/Time'
import css from './Banners.module.css'
import { useSafety } from './safety'

/** What cannot happen while a process is away. */
const WITHOUT: Record<string, string> = {
  controller: 'nothing is decided and nothing new is found',
  engine: 'no anomaly is found and nothing is proposed',
  executor: 'nothing can be carried out',
  database: 'nothing can be read or recorded',
}

export function Banners({ state }: { state: SystemState | undefined }) {
  const [own, setOwn] = useState(state?.version)
  if (own === undefined && state) setOwn(state.version)
  return (
    <div className={css.banners}>
      <Offline />
      {state?.stopped && <Stopped state={state} />}
      {state?.processes
        .filter((one) => one.status === 'down')
        .map((one) => (
          <Banner key={`${one.name} ${one.instance}`} tone="warn" sign="high">
            <strong>The {one.name} is down</strong>
            {WITHOUT[one.name] ? `: ${WITHOUT[one.name]}.` : '.'}{' '}
            {one.seen_at ? (
              <>
                Last seen <Ago at={one.seen_at} />.
              </>
            ) : (
              'It was never seen.'
            )}{' '}
            {one.detail}
          </Banner>
        ))}
      {state && own && state.version !== own && (
        <Banner
          tone="info"
          sign="run"
          action={
            <Button variant="default" onClick={() => globalThis.location.reload()}>
              Reload
            </Button>
          }
        >
          Aegis {state.version} is running now; this page belongs to {own}.
        </Banner>
      )}
    </div>
  )
}

function Offline() {
  const { link, heardAt } = useLive()
  const now = useHere(1_000)
  if (link !== 'offline') return null
  return (
    <Banner tone="bad" sign="high">
      <strong>Aegis cannot be reached.</strong> What you see was read {ago((now - heardAt) / 1000)}. Nothing you do here
      is sent later; the page tries again by itself.
    </Banner>
  )
}

function Stopped({ state }: { state: SystemState }) {
  const [asking, setAsking] = useState(false)
  const close = () => setAsking(false)
  const resuming = useSafety(api.resumeActing, close)
  return (
    <Banner
      tone="bad"
      sign="stop"
      action={
        <Guarded
          permission="safety:write"
          variant="default"
          leftSection={<Icon sign="play" size={13} />}
          onClick={() => {
            resuming.reset()
            setAsking(true)
          }}
        >
          Resume
        </Guarded>
      }
    >
      <strong>Stopped</strong> by {state.changed_by} <Ago at={state.changed_at} />: {state.reason}. Nothing new is done
      to the cluster.
      {asking && (
        <ReasonDialog
          title="Resume Aegis?"
          verb="Resume"
          busy={resuming.isPending}
          error={resuming.error}
          onClose={close}
          onDo={(reason) => resuming.mutate(reason)}
        >
          Aegis goes on in mode {state.mode}. What waited is decided again first.
        </ReasonDialog>
      )}
    </Banner>
  )
}

interface BannerProps {
  tone: 'bad' | 'warn' | 'info'
  sign: Sign
  action?: ReactNode
  children: ReactNode
}

function Banner({ tone, sign, action, children }: BannerProps) {
  return (
    <div className={css.banner} data-tone={tone} role="status">
      <Icon sign={sign} size={17} />
      <p>{children}</p>
      {action}
    </div>
  )
}
