/** The tab's title: what is shown, then where. */

import { useEffect } from 'react'

export function useTitle(title: string | undefined): void {
  useEffect(() => {
    document.title = title ? `${title} · Aegis` : 'Aegis'
  }, [title])
}
