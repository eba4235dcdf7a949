/** What Aegis may do by itself: observe, approve or auto. Choosing another asks for a reason. */

import { Button, Menu } from '@mantine/core'
import { useState } from 'react'
import * as api from '../api/endpoints'
import type { Mode, SystemState } from '../api/types'
import { useMay } from '../auth/session'
import { Icon, type Sign } from '../parts/Icon'
import { ReasonDialog } from '../parts/ReasonDialog'
import { missing } from '../parts/States'
import { MODES } from '../parts/words'
import css from './ModeMenu.module.css'
import { useSafety } from './safety'

const SIGNS: Record<Mode, Sign> = { observe: 'eye', approve: 'hand', auto: 'bolt' }
const ALL: Mode[] = ['observe', 'approve', 'auto']

export function ModeMenu({ state }: { state: SystemState }) {
  const may = useMay('safety:write')
  const [asking, setAsking] = useState<Mode | null>(null)
  const close = () => setAsking(null)
  const changing = useSafety(({ mode, reason }: { mode: Mode; reason: string }) => api.setMode(mode, reason), close)
  return (
    <>
      <Menu position="bottom-end" width={310} withInitialFocusPlaceholder={false}>
        <Menu.Target>
          <Button
            variant="default"
            aria-label={`Mode: ${MODES[state.mode].name}`}
            leftSection={<Icon sign={SIGNS[state.mode]} size={15} />}
            rightSection={<Icon sign="down" size={12} />}
            className={css.button}
          >
            <span className={css.prefix}>Mode: </span>
            {MODES[state.mode].name.toLowerCase()}
          </Button>
        </Menu.Target>
        <Menu.Dropdown className={css.menu}>
          {ALL.map((mode) => (
            <Menu.Item
              key={mode}
              leftSection={<Icon sign={SIGNS[mode]} />}
              rightSection={mode === state.mode ? <Icon sign="check" /> : null}
              disabled={!may && mode !== state.mode}
              onClick={() => {
                if (mode === state.mode) return
                changing.reset()
                setAsking(mode)
              }}
            >
              <span className={css.name}>{MODES[mode].name}</span>
              <span className={css.meaning}>{MODES[mode].meaning}</span>
            </Menu.Item>
          ))}
          {!may && <Menu.Label className={css.missing}>{missing('safety:write')}</Menu.Label>}
        </Menu.Dropdown>
      </Menu>
      {asking && (
        <ReasonDialog
          title={`Change the mode to ${MODES[asking].name.toLowerCase()}?`}
          verb={`Change to ${MODES[asking].name.toLowerCase()}`}
          busy={changing.isPending}
          error={changing.error}
          onClose={close}
          onDo={(reason) => changing.mutate({ mode: asking, reason })}
        >
          {MODES[asking].meaning} What was decided under the old mode is decided again.
        </ReasonDialog>
      )}
    </>
  )
}
