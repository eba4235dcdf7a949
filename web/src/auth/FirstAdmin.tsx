/** The very first account, made with the one-time token that the start printed. */

import { Button, PasswordInput, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useRouter } from '@tanstack/react-router'
import { useState } from 'react'
import * as api from '../api/endpoints'
import { asProblem } from '../api/problem'
import { authQuery } from '../api/queries'
import { Refused } from '../parts/States'
import { useTitle } from '../parts/title'
import { Gate } from './Gate'
import css from './Gate.module.css'

interface Account {
  token: string
  email: string
  password: string
}

export function FirstAdmin() {
  useTitle('First admin')
  const client = useQueryClient()
  const router = useRouter()
  const [account, setAccount] = useState<Account>({ token: '', email: '', password: '' })
  const change = (name: keyof Account, value: string) => setAccount((before) => ({ ...before, [name]: value }))
  const making = useMutation({
    mutationFn: async (body: Account) => {
      await api.bootstrap(body)
      await api.login({ email: body.email, password: body.password })
    },
    onSuccess: async () => {
      await client.fetchQuery({ ...authQuery(), staleTime: 0 })
      router.history.push('/')
    },
  })
  const field = making.error ? asProblem(making.error).field : null
  return (
    <Gate
      title="Create the first admin"
      intro="Nobody has an account here yet. The one-time token was printed where Aegis was started."
    >
      <form
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault()
          making.mutate({ ...account, token: account.token.trim() })
        }}
      >
        <TextInput
          label="One-time token"
          name="token"
          autoComplete="off"
          spellCheck={false}
          required
          data-autofocus
          value={account.token}
          error={field === '/token'}
          onChange={(event) => change('token', event.currentTarget.value)}
        />
        <TextInput
          label="E-mail"
          type="email"
          name="email"
          autoComplete="username"
          required
          value={account.email}
          error={field === '/email'}
          onChange={(event) => change('email', event.currentTarget.value)}
        />
        <PasswordInput
          label="Password"
          description="At least 12 characters. Long is better than complicated: a few words are fine."
          name="password"
          autoComplete="new-password"
          required
          value={account.password}
          error={field === '/password'}
          onChange={(event) => change('password', event.currentTarget.value)}
        />
        <Refused error={making.error} />
        <Button type="submit" size="sm" loading={making.isPending}>
          Create the account
        </Button>
      </form>
    </Gate>
  )
}
