/** Log in, then go on to the page that was asked for. */

import { Button, PasswordInput, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, useRouter } from '@tanstack/react-router'
import { useState } from 'react'
import * as api from '../api/endpoints'
import { authQuery } from '../api/queries'
import { Refused } from '../parts/States'
import { useTitle } from '../parts/title'
import { Gate } from './Gate'
import css from './Gate.module.css'
import { inside } from './session'

const route = getRouteApi('/guest/login')

export function Login() {
  useTitle('Log in')
  const { next } = route.useSearch()
  const client = useQueryClient()
  const router = useRouter()
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')
  const entering = useMutation({
    mutationFn: api.login,
    onSuccess: async () => {
      await client.fetchQuery({ ...authQuery(), staleTime: 0 })
      router.history.push(inside(next))
    },
  })
  return (
    <Gate title="Log in" intro={next ? 'Log in to go on to the page you asked for.' : 'Use your Aegis account.'}>
      <form
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault()
          entering.mutate({ email, password })
        }}
      >
        <TextInput
          label="E-mail"
          type="email"
          name="email"
          autoComplete="username"
          required
          data-autofocus
          value={email}
          onChange={(event) => setEmail(event.currentTarget.value)}
        />
        <PasswordInput
          label="Password"
          name="password"
          autoComplete="current-password"
          required
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        <Refused error={entering.error} />
        <Button type="submit" size="sm" loading={entering.isPending}>
          Log in
        </Button>
      </form>
    </Gate>
  )
}
