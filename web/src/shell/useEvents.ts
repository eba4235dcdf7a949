/** Keeps the live connection open while somebody is logged in. */

import { useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import { listen } from '../api/live'
import { refresh } from '../api/queries'

export function useEvents(): void {
  const client = useQueryClient()
  useEffect(() => listen((topic, id) => refresh(client, topic, id)), [client])
}
