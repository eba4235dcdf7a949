/** One incident, from its first abnormal sample to the verdict. What is under way, or needs a person, comes first. */

import { useQuery } from '@tanstack/react-query'
import { Link, getRouteApi } from '@tanstack/react-router'
import { incidentQuery } from '../api/queries'
import type { Incident } from '../api/types'
import { asProblem } from '../api/problem'
import { CopyCommand } from '../parts/CopyCommand'
import { duration, percent, secondsBetween } from '../parts/numbers'
import { Empty, Failure, Loading } from '../parts/States'
import { IncidentTag, SeverityTag } from '../parts/Tag'
import { Ago, Clock } from '../parts/Time'
import { useTitle } from '../parts/title'
import { capital, className, entityName } from '../parts/words'
import { RemediationPanel } from '../remediation/RemediationPanel'
import { Alerts } from './Alerts'
import { Diagnosis } from './Diagnosis'
import { EvidenceTable } from './EvidenceTable'
import css from './IncidentPage.module.css'
import { Plots } from './Plots'
import { Timeline } from './Timeline'
import { WhyLine } from './WhyLine'

const route = getRouteApi('/member/incidents/$id')

export function IncidentPage() {
  const { id } = route.useParams()
  const found = useQuery(incidentQuery(id))
  useTitle(found.data ? found.data.sentence : 'Incident')
  if (found.data) return <Shown incident={found.data} />
  return (
    <section className="panel">
      {!found.error ? (
        <Loading label="the incident" rows={8} />
      ) : asProblem(found.error).status === 404 ? (
        <Empty title="There is no such incident">
          It may belong to another installation. <Link to="/">Go to the overview</Link>
        </Empty>
      ) : (
        <Failure error={found.error} what="The incident" retry={() => void found.refetch()} />
      )}
    </section>
  )
}

function Shown({ incident }: { incident: Incident }) {
  const newestFirst = incident.remediations.toReversed()
  const active = newestFirst.filter((one) => one.state !== 'closed')
  const over = newestFirst.filter((one) => one.state === 'closed')
  return (
    <>
      <Head incident={incident} />
      <WhyLine incident={incident} />
      <Diagnosis incident={incident} />
      <div className={css.columns}>
        <div className={css.main}>
          {active.map((item) => (
            <RemediationPanel key={item.id} item={item} />
          ))}
          <Plots incident={incident} />
          <EvidenceTable incident={incident} />
          {over.map((item) => (
            <RemediationPanel key={item.id} item={item} />
          ))}
          {incident.remediations.length === 0 && (
            <section className="panel">
              <header>
                <h2>Remediation</h2>
              </header>
              <Empty title="Nothing was proposed">{incident.recommendation || 'Aegis is still looking.'}</Empty>
            </section>
          )}
        </div>
        <div className={css.side}>
          <Timeline events={incident.timeline} />
          {incident.alerts.length > 0 && <Alerts alerts={incident.alerts} />}
        </div>
      </div>
    </>
  )
}

function Head({ incident }: { incident: Incident }) {
  const lasted = secondsBetween(incident.first_abnormal_at, incident.last_abnormal_at)
  return (
    <div className={css.head}>
      <nav className={css.crumbs} aria-label="Where this is">
        <Link to="/">Overview</Link> <span aria-hidden="true">/</span> {entityName(incident.entity)}
      </nav>
      <h1>{incident.sentence}</h1>
      <div className={css.facts}>
        <SeverityTag severity={incident.severity} />
        <IncidentTag state={incident.state} />
        <span>
          {incident.class === 'unknown'
            ? 'What it is, is not known'
            : `${capital(className(incident.class))}, ${percent(incident.probability)} probable`}
        </span>
        <span>
          Opened <Ago at={incident.opened_at} />
        </span>
        <span>
          Abnormal for {duration(lasted)}
          {incident.closed_at && (
            <>
              , closed <Clock at={incident.closed_at} />
            </>
          )}
        </span>
        <span className={css.command}>
          <CopyCommand command={`aegis incidents ${incident.id}`} />
        </span>
      </div>
    </div>
  )
}
