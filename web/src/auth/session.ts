/** Who is looking, and what they may do. The API decides; this only spares people a button that would refuse them. */

import { useQuery } from '@tanstack/react-query'
import { authQuery } from '../api/queries'
import type { Permission, User } from '../api/types'

export function useUser(): User | null {
  return useQuery(authQuery()).data?.user ?? null
}

export function useMay(permission: Permission): boolean {
  const user = useUser()
  if (user === null) return false
  // Whoever may resume may stop.
  if (permission === 'safety:stop' && user.permissions.includes('safety:write')) return true
  return user.permissions.includes(permission)
}

/** A place inside this page to go to after the login; never another origin. */
export function inside(next: unknown): string {
  if (typeof next !== 'string' || !/^\/(?![/\\\s])/.test(next)) return '/'
  return next.startsWith('/login') || next.startsWith('/first-admin') ? '/' : next
}
