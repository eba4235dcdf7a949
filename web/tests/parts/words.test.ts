import { describe, expect, it } from 'vitest'
import { capital, entityName, inverseName, pathName, plain, ruleName, spoken } from '../../src/parts/words'

describe('words', () => {
  it('says codes inside a sentence in words', () =>
    expect(spoken('memory_limit_ratio, latency_p95 came back')).toBe(
      'memory use of its limit, 95th percentile latency came back',
    ))
  it('names the workload and the action of a timeline entry', () =>
    expect(spoken('scale_deployment on deployment/shop/cart: proposed')).toBe(
      'scale deployment on shop / cart: proposed',
    ))
  it('doubles no words that are words already', () =>
    expect(spoken('restarts in five minutes are 1.5')).toBe('restarts in five minutes are 1.5'))
  it('says a rule without the language of rules', () => {
    expect(ruleName('context.confidence is at least 0.6')).toBe('confidence is at least 0.6')
    expect(ruleName('metadata.undo is false')).toBe('it is not an undo')
  })
  it('leaves names that only look like codes alone', () =>
    expect(spoken('my_memory_limit_ratio and restarts_total')).toBe('my_memory_limit_ratio and restarts_total'))
  it('keeps the kind of an entity where it is not a deployment', () =>
    expect(entityName('pod/shop/cart-1')).toBe('pod shop / cart-1'))
  it('opens the escapes of a JSON pointer', () =>
    expect(pathName({ op: 'add', path: '/metadata/annotations/a~1b~0c' })).toBe('metadata.annotations.a/b~c'))
  it('names what an undo would do', () =>
    expect(
      inverseName({
        action: 'scale_deployment',
        namespace: 'shop',
        name: 'cart',
        params: { replicas: 3 },
      }),
    ).toBe('Scale deployment shop / cart, replicas 3'))
  it('changes no name at the beginning of a sentence', () => {
    expect(capital('ada@example.org approved it')).toBe('ada@example.org approved it')
    expect(capital('rolling back')).toBe('Rolling back')
  })
  it('says nothing for null', () => expect(plain(null)).toBe('nothing'))
})
