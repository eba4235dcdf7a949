import { describe, expect, it } from 'vitest'
import { leaves } from '../../src/remediation/difference'

const container = (image: string, more = {}) => ({ name: 'search', image, ports: [{ containerPort: 8080 }], ...more })

describe('the difference', () => {
  it('of two revisions is the image, not the whole list of containers', () =>
    expect(
      leaves([
        { op: 'replace', path: '/spec/containers', from: [container('search:1.1')], to: [container('search:1.0')] },
      ]),
    ).toEqual([{ op: 'replace', path: '/spec/containers/search/image', from: 'search:1.1', to: 'search:1.0' }]))

  it('names what is added and removed', () =>
    expect(
      leaves([
        {
          op: 'replace',
          path: '/containers',
          from: [container('a', { args: ['--slow'] })],
          to: [container('a', { command: ['run'] }), { name: 'proxy' }],
        },
      ]),
    ).toEqual([
      { op: 'remove', path: '/containers/search/args', from: ['--slow'] },
      { op: 'add', path: '/containers/search/command', to: ['run'] },
      { op: 'add', path: '/containers/proxy', to: { name: 'proxy' } },
    ]))

  it('of lists without names goes by place', () =>
    expect(leaves([{ op: 'replace', path: '/args', from: ['a', 'b'], to: ['a', 'c'] }])).toEqual([
      { op: 'replace', path: '/args/1', from: 'b', to: 'c' },
    ]))

  it('says when a list becomes something else altogether', () =>
    expect(leaves([{ op: 'replace', path: '/x', from: [1], to: { a: 1 } }])).toEqual([
      { op: 'replace', path: '/x', from: [1], to: { a: 1 } },
    ]))

  it('leaves plain steps as they are', () => {
    const step = { op: 'replace', path: '/spec/replicas', from: 3, to: 4 }
    expect(leaves([step])).toEqual([step])
  })
})
