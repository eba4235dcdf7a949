/** Who is logged in, how the page looks, and the way out. */

import {
  ActionIcon,
  Button,
  Popover,
  SegmentedControl,
  useMantineColorScheme,
  type MantineColorScheme,
} from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import * as api from '../api/endpoints'
import { useUser } from '../auth/session'
import { useZone, type Zone } from '../parts/clock'
import { Icon } from '../parts/Icon'
import { Refused } from '../parts/States'
import css from './UserMenu.module.css'

const LOOKS: { value: MantineColorScheme; label: string }[] = [
  { value: 'light', label: 'Light' },
  { value: 'dark', label: 'Dark' },
  { value: 'auto', label: 'Auto' },
]
const ZONES: { value: Zone; label: string }[] = [
  { value: 'local', label: 'Local time' },
  { value: 'utc', label: 'UTC' },
]

export function UserMenu({ version }: { version: string | undefined }) {
  const user = useUser()
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  const { zone, choose } = useZone()
  const leaving = useMutation({
    mutationFn: api.logout,
    // A fresh load: nothing that was read under this session stays in the tab.
    onSuccess: () => globalThis.location.assign('/login'),
  })
  return (
    <Popover position="bottom-end" width={250} trapFocus returnFocus>
      <Popover.Target>
        <ActionIcon
          variant="default"
          size={30}
          radius="xl"
          aria-label={`Account and appearance of ${user?.email ?? ''}`}
        >
          <Icon sign="person" />
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown className={css.menu} aria-label="Account and appearance">
        <div>
          <p className={css.email}>{user?.email}</p>
          <p className={css.roles}>{user?.roles.join(', ')}</p>
        </div>
        <div className={css.choice}>
          <span id="look">Appearance</span>
          <SegmentedControl
            aria-labelledby="look"
            fullWidth
            size="xs"
            data={LOOKS}
            value={colorScheme}
            onChange={(look) => setColorScheme(look)}
          />
        </div>
        <div className={css.choice}>
          <span id="zone">Times</span>
          <SegmentedControl
            aria-labelledby="zone"
            fullWidth
            size="xs"
            data={ZONES}
            value={zone}
            onChange={(next) => choose(next)}
          />
        </div>
        <Button variant="default" fullWidth loading={leaving.isPending} onClick={() => leaving.mutate()}>
          Log out
        </Button>
        <Refused error={leaving.error} />
        {version && <p className={css.version}>Aegis {version}</p>}
      </Popover.Dropdown>
    </Popover>
  )
}
