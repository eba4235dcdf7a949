/** The first page: is Aegis well, what needs a person, what is wrong now. */

import { useQuery } from '@tanstack/react-query'
import { stateQuery } from '../api/queries'
import { Failure, Loading } from '../parts/States'
import { useTitle } from '../parts/title'
import { IncidentTable } from './IncidentTable'
import { SystemStrip } from './SystemStrip'
import { WaitingList } from './WaitingList'

export function Overview() {
  useTitle('Overview')
  const state = useQuery(stateQuery())
  return (
    <>
      <h1 className="away">Overview</h1>
      {state.data ? (
        <SystemStrip state={state.data} />
      ) : (
        <section className="panel">
          {state.error ? (
            <Failure error={state.error} what="The state" retry={() => void state.refetch()} />
          ) : (
            <Loading label="the state" rows={2} />
          )}
        </section>
      )}
      <WaitingList />
      <IncidentTable />
    </>
  )
}
