/** Tells screen readers how many incidents are open and how many plans wait, whenever that changes. */

import type { SystemState } from '../api/types'

export function Announcer({ counts }: { counts: SystemState['counts'] | undefined }) {
  return (
    <div role="status" className="away">
      {counts && `${counts.open_incidents} open incidents, ${counts.awaiting_approval} plans wait for approval.`}
    </div>
  )
}
