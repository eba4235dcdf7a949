/** Changing the safety state, and showing the new one at once. */

import { useMutation, useQueryClient } from '@tanstack/react-query'
import { stateQuery } from '../api/queries'
import type { Safety } from '../api/types'

export function useSafety<Asked>(change: (asked: Asked) => Promise<Safety>, done: () => void) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: change,
    onSuccess: (safety) => {
      client.setQueryData(stateQuery().queryKey, (before) => before && { ...before, ...safety })
      void client.invalidateQueries({ queryKey: ['state'] })
      done()
    },
  })
}
