/** What the API says when it says no (RFC 9457), and what this page says when the API cannot be reached. */

export class Problem extends Error {
  override readonly name = 'Problem'

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string | null = null,
    readonly requestId: string | null = null,
    readonly field: string | null = null,
  ) {
    super(message)
  }

  /** No answer came at all, so nothing is known about what happened. */
  static unreachable(): Problem {
    return new Problem(0, 'unreachable', 'Aegis cannot be reached.', 'Is the network up, and is the API running?')
  }

  static of(status: number, body: unknown): Problem {
    const given = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
    const text = (name: string) => (typeof given[name] === 'string' ? given[name] : null)
    const message = text('detail') ?? text('title') ?? `The API answered ${status}.`
    return new Problem(
      status,
      text('code') ?? `http_${status}`,
      message,
      text('hint'),
      text('request_id'),
      text('field'),
    )
  }
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  return new Problem(0, 'page_error', error instanceof Error ? error.message : 'Something went wrong in this page.')
}
