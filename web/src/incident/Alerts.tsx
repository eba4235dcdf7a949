/** Alerts that belong to this incident. Their text comes from outside and is shown as text only. */

import type { Alert } from '../api/types'
import { Tag } from '../parts/Tag'
import { Ago } from '../parts/Time'
import css from './Alerts.module.css'

export function Alerts({ alerts }: { alerts: Alert[] }) {
  return (
    <section className="panel" aria-labelledby="alerts">
      <header>
        <h2 id="alerts">Alerts</h2>
      </header>
      <ul className={css.alerts}>
        {alerts.map((alert) => (
          <li key={alert.id}>
            <p className={css.name}>
              {alert.name}
              {alert.status === 'firing' ? (
                <Tag tone="high" sign="high">
                  Firing
                </Tag>
              ) : (
                <Tag tone="calm" sign="check">
                  {alert.status}
                </Tag>
              )}
            </p>
            <p className={css.text}>{alert.annotations['summary'] ?? alert.annotations['description'] ?? ''}</p>
            <p className={css.text}>
              Since <Ago at={alert.starts_at} />
              {alert.count > 1 && `, heard ${alert.count} times`}
            </p>
          </li>
        ))}
      </ul>
    </section>
  )
}
