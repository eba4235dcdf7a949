// Holds the first load to its budget: what the browser must fetch before a page shows, gzip, from Vite's manifest.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const BUDGET = { js: 220_000, css: 40_000 }
const folder = process.argv[2] ?? 'dist'
const manifest = JSON.parse(readFileSync(join(folder, '.vite/manifest.json'), 'utf8'))

/** The files of these chunks and of everything they import at once. */
function filesOf(names) {
  const seen = new Set()
  const files = new Set()
  const visit = (name) => {
    if (seen.has(name)) return
    seen.add(name)
    const chunk = manifest[name]
    for (const file of [chunk.file, ...(chunk.css ?? [])]) files.add(file)
    for (const other of chunk.imports ?? []) visit(other)
  }
  names.forEach(visit)
  return [...files]
}

const weigh = (files) => files.reduce((sum, file) => sum + gzipSync(readFileSync(join(folder, file))).length, 0)
const kilobytes = (size) => `${(size / 1000).toFixed(1)} kB`

const entry = Object.keys(manifest).filter((name) => manifest[name].isEntry)
const pages = entry.flatMap((name) => manifest[name].dynamicImports ?? [])
const said = Object.entries(BUDGET).map(([kind, limit]) => {
  // The dearest first load there is: the entry with any one page.
  const [size, page] = pages
    .map((one) => [weigh(filesOf([...entry, one]).filter((file) => file.endsWith(`.${kind}`))), one])
    .toSorted(([one], [other]) => other - one)[0]
  if (size > limit) process.exitCode = 1
  return `${kind} ${kilobytes(size)} of ${kilobytes(limit)}${size > limit ? ` TOO LARGE (${page})` : ''}`
})
process.stdout.write(`First load, gzip: ${said.join(', ')}\n`)
