/** A plan's difference down to what really changes: a list that is given whole is compared item by item. */

import type { DiffStep, Json } from '../api/types'

type Branch = Json[] | { [name: string]: Json }

/** Every leaf that is added, removed or replaced, in the order of the plan. */
export function leaves(steps: DiffStep[]): DiffStep[] {
  return steps.flatMap((step) =>
    step.op === 'replace' && isBranch(step.from) && isBranch(step.to) ? compare(step.path, step.from, step.to) : [step],
  )
}

function compare(path: string, from: Json, to: Json): DiffStep[] {
  if (!isBranch(from) || !isBranch(to) || Array.isArray(from) !== Array.isArray(to)) {
    return same(from, to) ? [] : [{ op: 'replace', path, from, to }]
  }
  const [before, after] = [named(from), named(to)]
  const names = [...new Set([...before.keys(), ...after.keys()])]
  return names.flatMap((name) => {
    const here = `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    const [old, fresh] = [before.get(name), after.get(name)]
    if (old === undefined) return fresh === undefined ? [] : [{ op: 'add', path: here, to: fresh }]
    return fresh === undefined ? [{ op: 'remove', path: here, from: old }] : compare(here, old, fresh)
  })
}

/** Fields by name; items of a list by the name they carry, as Kubernetes merges them, else by their place. */
function named(branch: Branch): Map<string, Json> {
  if (!Array.isArray(branch)) return new Map(Object.entries(branch))
  const names = branch.map((item) => (isBranch(item) && !Array.isArray(item) ? item['name'] : undefined))
  const telling = names.every((name) => typeof name === 'string') && new Set(names).size === names.length
  return new Map(branch.map((item, place) => [telling ? String(names[place]) : String(place), item]))
}

const isBranch = (value: Json | undefined): value is Branch => typeof value === 'object' && value !== null

function same(one: Json, other: Json): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
