/** Stop: always in the same place at the top. Resume is elsewhere, in the banner, so that one is never hit for the other. */

import { useState } from 'react'
import * as api from '../api/endpoints'
import type { SystemState } from '../api/types'
import { Guarded } from '../parts/Guarded'
import { Icon } from '../parts/Icon'
import { ReasonDialog } from '../parts/ReasonDialog'
import { Tag } from '../parts/Tag'
import { useSafety } from './safety'

export function KillSwitch({ state }: { state: SystemState }) {
  const [asking, setAsking] = useState(false)
  const close = () => setAsking(false)
  const stopping = useSafety(api.stopActing, close)
  if (state.stopped) {
    return (
      <Tag tone="bad" sign="stop" solid>
        Stopped
      </Tag>
    )
  }
  return (
    <>
      <Guarded
        permission="safety:stop"
        variant="outline"
        color="brick"
        leftSection={<Icon sign="stop" size={15} />}
        name="Stop Aegis"
        onClick={() => {
          stopping.reset()
          setAsking(true)
        }}
      >
        Stop
      </Guarded>
      {asking && (
        <ReasonDialog
          title="Stop Aegis?"
          verb="Stop now"
          color="brick"
          busy={stopping.isPending}
          error={stopping.error}
          onClose={close}
          onDo={(reason) => stopping.mutate(reason)}
        >
          Within two seconds no new change reaches the cluster. Aegis goes on watching and recording. Nothing that was
          done is taken back.
        </ReasonDialog>
      )}
    </>
  )
}
