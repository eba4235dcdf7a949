/** How long an approval may still be given. */

import { useNow } from '../parts/clock'
import { duration } from '../parts/numbers'

export function Expiry({ at }: { at: string }) {
  const left = (Date.parse(at) - useNow(1_000)) / 1000
  return <time dateTime={at}>{left > 0 ? `expires in ${duration(left)}` : 'expired'}</time>
}
