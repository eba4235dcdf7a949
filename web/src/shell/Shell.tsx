/** What surrounds every page: the safety controls above, the pages at the side, banners when something is wrong. */

import { useQuery } from '@tanstack/react-query'
import { Link, Outlet } from '@tanstack/react-router'
import { useEffect } from 'react'
import { stateQuery } from '../api/queries'
import { heardTime } from '../parts/clock'
import { Icon, type Sign } from '../parts/Icon'
import { useMay } from '../auth/session'
import { Announcer } from './Announcer'
import { Banners } from './Banners'
import { Brand } from './Brand'
import { Connection } from './Connection'
import { KillSwitch } from './KillSwitch'
import { ModeMenu } from './ModeMenu'
import css from './Shell.module.css'
import { UserMenu } from './UserMenu'
import { useEvents } from './useEvents'

export function Shell() {
  useEvents()
  const { data: state } = useQuery(stateQuery())
  useEffect(() => {
    if (state) heardTime(state.now)
  }, [state])
  return (
    <div className={css.frame}>
      <a className={css.skip} href="#main">
        Skip to the content
      </a>
      <header className={css.top}>
        <Link to="/" className={css.home} aria-label="Aegis, overview">
          <Brand />
        </Link>
        {state?.sandbox && (
          <span className={css.sandbox} title="A simulated cluster: nothing real is touched.">
            Sandbox
          </span>
        )}
        <span className={css.gap} />
        <Connection />
        {state && <ModeMenu state={state} />}
        {state && <KillSwitch state={state} />}
        <UserMenu version={state?.version} />
      </header>
      <nav className={css.rail} aria-label="Pages">
        <Place to="/" sign="overview" name="Overview" />
        {useMay('audit:read') && <Place to="/audit" sign="audit" name="Audit" />}
      </nav>
      <main id="main" tabIndex={-1} className={css.main}>
        {state?.sandbox && <p className={css.simulated}>Sandbox: a simulated cluster; nothing real is touched.</p>}
        <Banners state={state} />
        <Outlet />
      </main>
      <Announcer counts={state?.counts} />
    </div>
  )
}

function Place({ to, sign, name }: { to: '/' | '/audit'; sign: Sign; name: string }) {
  return (
    <Link to={to} className={css.place} activeOptions={{ exact: true, includeSearch: false }}>
      <Icon sign={sign} size={19} />
      {name}
    </Link>
  )
}
