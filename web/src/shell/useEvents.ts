/** Keeps the live connection open while somebody is logged in. */

import { useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import { listen } from '../api/live'
import { refresher } from '../api/queries'

export function useEvents(): void {
  const client = useQueryClient()
  useEffect(() => {
    const { changed, stop } = refresher(client)
    const close = listen(changed)
    return () => {
      close()
      stop()
    }
  }, [client])
}
